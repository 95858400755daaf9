"""The tables of five published student projects, at a size that two cores can carry: at most 60 minutes a row."""

from benchmarks.systems.plan import SEEDS, Claim, Place, Row, Table, make_rows

PROJECTS = {
    "A": "Pix2Pix on photo-reconstruction",
    "B": "Partial convolution, Pix2Pix and Stable Diffusion on photo-reconstruction",
    "C": "Landscapes with holes of free form",
    "D": "Missing pixels",
    "E": "Depixelation",
}

PLACES = {
    "boxes": Place("--competition photo_reconstruction"),
    "landscapes": Place("--competition landscapes --size 64 --augment 8x", photos=1350),
    "missing": Place("--competition missing_pixels --augment none --holdout 0.3", photos=90),
    "tiles": Place("--competition depixelation --augment 8x", photos=2000),
    "areas": Place("--competition hidden_areas --size 64 --augment none", photos=2000),
}

PIX2PIX = "--model pix2pix_published --width 16 --batch-size 4 --evaluation-images 150 --evaluate-every 1000"
SHORT = "--steps 2000"
PCONV = "--model pconv_unet --width 16 --evaluation-images 150 --evaluate-every 500 --steps 2500"
LANDSCAPES = "--width 32 --evaluation-images 200 --evaluate-every 200 --steps 1200"
BLOCKS = "--batch-size 8 --evaluation-images 60 --evaluate-every 200 --steps 4000"
FEWER = "--batch-size 1 --steps 500 --evaluate-every 100 --evaluation-images 20"   # seconds a step
LARGER_SET = "--extra-pictures {photos}"
DEEPIX = "--width 8 --batch-size 64 --evaluation-images 200 --evaluate-every 100"
NEEDS_HUB = ("its weights are downloaded from a model hub, which could not be reached; where one can be reached, name the row "
             "after `--rows`")
NEEDS_GPU = "it takes hours of a GPU, and days of two cores; with a GPU: `--rows lambda/full`"
NEEDS_TINY_IMAGENET = "its 100,000 photos are not at hand; `--extra-pictures FOLDER` would train on them"
NEEDS_SHAPE = "which layers it has is not known"
ONE_SEED = (1,)
AS_LONG = "window_unet, as many minutes"
AS_LONG_AS_2000, AS_LONG_AS_8000 = f"{AS_LONG} as LAMBDA 1000", f"{AS_LONG} as 8,000 steps"
AS_LONG_AS_ADAM = f"{AS_LONG} as Adam"


def make_window_unet(title: str, other: str, flags: str = "", seeds: tuple[int, ...] = SEEDS) -> Row:
    """Return this project's network, trained for as many minutes as another row, and predicted once, as the other one."""
    trained = f"--model window_unet --evaluation-images 150 --steps 1000000 --minutes {{minutes:{other}}} {flags}".strip()
    return Row(title, trained, predict="--tta 1", is_ours=True, seeds=seeds)


def show_ours(title: str, row: str, seeds: tuple[int, ...] = SEEDS) -> Row:
    """Return a row that shows this project's network of another table again."""
    return Row(title, same_run=row, is_ours=True, seeds=seeds)


A_TABLES = {
    "lambda": Table(
        "A", "LAMBDA", "boxes",
        "Width 16 and 2,000 steps of 4 images; the project took width 64 and 150,000 to 250,000 steps of one image.",
        {**{f"{value}": Row(f"LAMBDA {value}", f"--lambda {value} {SHORT}", "not the best") for value in (100, 200, 400, 800)},
         "1000": Row("LAMBDA 1000", f"--lambda 1000 {SHORT}", "the best: 0.1674 after 170,000 steps"),
         "1200": Row("LAMBDA 1200", f"--lambda 1200 {SHORT}", "not the best"),
         "ours": make_window_unet(AS_LONG_AS_2000, "1000"),
         "ours-untrained": make_window_unet(f"{AS_LONG_AS_2000}, untrained at first", "1000", "--init-from="),
         "full": Row("LAMBDA 1000 at full size, 170,000 steps of one image",
                     "--width 64 --batch-size 1 --steps 170000 --evaluate-every 10000", "0.1674", left_out=NEEDS_GPU)},
        (Claim("LAMBDA 1000 is better than 100", "1000", "100"), Claim("LAMBDA 1000 is better than 400", "1000", "400"),
         Claim("LAMBDA 1000 is better than 1200", "1000", "1200")),
        flags=PIX2PIX, has_curves=True,
        remarks="LAMBDA 400 is the best here by 0.001 to 0.003, and 200 the second. 100 is the worst, and between 800, 1000 and "
                "1200 no difference can be seen. This order is certain for these images, but it was seen with one seed, and "
                "another one may change it. After 2,000 steps, of the project's 170,000, the network has hardly learned: all "
                "are far above the best fill. To test the claim takes the full size and several seeds."),
    "steps": Table(
        "A", "Steps", "boxes", "Width 16 and up to 30,000 steps of 4 images.",
        {"2000": Row("2,000 steps", same_run="lambda/1000"),
         "4000": Row("4,000 steps", "--steps 4000", seeds=ONE_SEED),
         "8000": Row("8,000 steps", "--steps 8000", seeds=ONE_SEED),
         "30000": Row("30,000 steps", "--steps 30000", "0.1690 (150,000 steps), 0.1674 (170,000), 0.1678 (174,300)",
                      seeds=ONE_SEED),
         "ours": make_window_unet(AS_LONG_AS_8000, "8000", seeds=ONE_SEED)},
        (Claim("4,000 steps are better than 2,000", "4000", "2000"), Claim("8,000 are better than 4,000", "8000", "4000"),
         Claim("30,000 are better than 8,000", "30000", "8000")),
        flags=PIX2PIX, has_curves=True,
        remarks="Steps are what this network needs most: twice as many gain more than any choice of LAMBDA above. After "
                "30,000, as many images as the project's 120,000 steps, it is still 19% above the best fill, and window_unet "
                "is below that fill after a sixth of the minutes."),
    "augmentation": Table(
        "A", "Not augmented against 5x", "boxes",
        "Width 16 and steps of 4 images. 8,000 of them are 6.5 epochs of the photos as they are, or 1.3 with transforms; 30,000 "
        "are 24 epochs, as many as in the project, or 4.9.",
        {"none": Row("not augmented, 8,000 steps", "--augment none --steps 8000", seeds=ONE_SEED),
         "5x": Row("5x, 8,000 steps", same_run="steps/8000", seeds=ONE_SEED),
         "none-long": Row("not augmented, 30,000 steps", "--augment none --steps 30000", "0.1824 to 0.1926", seeds=ONE_SEED),
         "5x-long": Row("5x, 30,000 steps", reported="0.1674 to 0.1690", same_run="steps/30000", seeds=ONE_SEED),
         "ours": show_ours(AS_LONG_AS_8000, "steps/ours", seeds=ONE_SEED)},
        (Claim("5x is better than no augmentation after 8,000 steps", "5x", "none"),
         Claim("5x is better after 30,000 steps", "5x-long", "none-long")), flags=PIX2PIX, has_curves=True,
        remarks="In 8,000 steps each photo is seen six times without transforms, and nothing differs. In 30,000 it is seen as "
                "often as in the project, 24 times, and the kept weights are 4% better with 5x. But the RMSE swings from one "
                "evaluation to the next by as much as that: the mean of the last ten is 0.193 in both runs, and 5x has the "
                "lowest single one. So the claim holds for the weights that are kept here; that transforms cause it would "
                "take several seeds to show. Both are far above the best fill, which needs no hour."),
    "levels": Table(
        "A", "Steps down and up", "boxes", "Width 16 and 2,000 steps of 4 images.",
        {**make_rows(f"{SHORT} --levels", {"4": "4 levels", "5": "5 levels", "6": "6 levels", "7": "7 levels"}),
         "8": Row("8 levels", reported="chosen among 4 to 10", same_run="lambda/1000"),
         "ours": show_ours(AS_LONG_AS_2000, "lambda/ours")},
        (Claim("8 levels, which the project chose, are better than 4", "8", "4"), Claim("and better than 6", "8", "6")),
        flags=PIX2PIX, has_curves=True,
        remarks="From 4 to 8 levels, each one more is better, most of all the fifth; it also adds parameters. 9 and 10 levels, "
                "which the project tried too, need images of 512 and 1,024 pixels."),
    "discriminator": Table(
        "A", "The weight of fake images in the discriminator's loss", "boxes", "Width 16 and 2,000 steps of 4 images.",
        {"1": Row("weight 1", reported="as in the paper", same_run="lambda/1000"),
         "1000": Row("weight 1000, which is LAMBDA", f"--disc-lambda 1000 {SHORT}", "what the project used"),
         "ours": show_ours(AS_LONG_AS_2000, "lambda/ours")},
        (Claim("LAMBDA as the weight is better than 1", "1000", "1"),), flags=PIX2PIX, has_curves=True,
        remarks="The weight lowers the RMSE by 0.8%. LAMBDA 400 in place of 1000 did as much above. Each was seen with one seed, "
                "so another one may change it. Either way the RMSE is far above that of the best fill."),
    "mode": Table(
        "A", "Prediction in training mode or in inference mode", "boxes", "The runs with LAMBDA 1000 above, predicted twice.",
        {"training": Row("training mode", "", "what the project used", "--predict-mode training", "lambda/1000"),
         "inference": Row("inference mode", "", "", "--predict-mode inference", "lambda/1000"),
         "ours": show_ours(AS_LONG_AS_2000, "lambda/ours")},
        (Claim("training mode is better", "training", "inference"),),
        remarks="With the same weights the RMSE is 85% higher in inference mode: the running averages of the batch "
                "normalization are no substitute for the statistics of the image itself. In inference mode this network is "
                "worse than before its first step, when it had 0.264 on 150 of the images."),
}

B_TABLES = {
    "pconv": Table(
        "B", "Partial convolution", "boxes",
        "Width 16 and 2,500 steps of 4 images; the project took width 64 and 30 to 40 epochs, some 60,000 steps.",
        {**{rate: Row(f"learning rate {rate}", f"--learning-rate {rate}", "a curve of the loss")
            for rate in ("0.001", "0.0005", "0.0001", "0.00005")},
         "fresh": Row("learning rate 0.0005, new random boxes", "--learning-rate 0.0005 --fresh-masks", "worse than without"),
         "pix2pix": Row("Pix2Pix as published, as many minutes as rate 0.0005",
                        "--model pix2pix_published --batch-size 4 --steps 1000000 --minutes {minutes:0.0005}", "0.2335"),
         "diffusion": Row("Stable Diffusion inpainting, not tuned", "--model stable_diffusion", "0.2748", left_out=NEEDS_HUB),
         "ours": make_window_unet(f"{AS_LONG} as rate 0.0005", "0.0005")},
        (Claim("0.0005 is better than 0.00005", "0.0005", "0.00005"), Claim("new random boxes make it worse", "0.0005", "fresh"),
         Claim("partial convolution (0.2321) is better than Pix2Pix (0.2335)", "0.0005", "pix2pix")),
        flags=PCONV, has_curves=True,
        remarks="Partial convolution is 26% below Pix2Pix after as many minutes, where the project saw them level: it learns "
                "faster. It does not reach the best fill in that time, and window_unet is 13% below it. New boxes change "
                "nothing that can be seen. Of the four rates 0.0005 is the best after 2,500 steps. Below it, the lower a "
                "rate, the less it has learned by then, so after the project's 60,000 steps their order may be another one."),
}

C_TABLES = {
    "optimizers": Table(
        "C", "Optimizers", "landscapes",
        "Images of 64x64, width 32 and 1,200 steps of 32; the project took 256x256, width 64 and 20 epochs, some 6,000 steps.",
        {**make_rows("--optimizer", {"adam": "Adam", "sgd": "SGD", "rmsprop": "RMSprop", "adagrad": "Adagrad"}, "curves"),
         "ours": make_window_unet(AS_LONG_AS_ADAM, "adam", "--work-size 32")},
        (Claim("Adam is better than SGD", "adam", "sgd"), Claim("Adam is better than Adagrad", "adam", "adagrad")),
        flags=f"--model unet {LANDSCAPES}", has_curves=True, measures_seconds=True,
        remarks="Adam leads with both seeds, then Adagrad and RMSprop; against Adagrad, two seeds are too few for an interval "
                "without 0. With the first seed all four were still falling after 1,200 steps, SGD the fastest, so with more "
                "of them their order may change. The rate is 0.001, of SGD and Adagrad 0.01, their usual ones. None reaches "
                "the best fill. window_unet, which corrects a fill, is 5% below that fill after as many minutes."),
    "losses": Table(
        "C", "Losses", "landscapes", "As above.",
        {"l2": Row("squared error", reported="curves", same_run="optimizers/adam"),
         **make_rows("--loss", {"l1": "absolute error", "poisson": "Poisson", "kl": "KL divergence",
                                "cross_entropy": "cross entropy"}, "curves"),
         "ours": show_ours(AS_LONG_AS_ADAM, "optimizers/ours")},
        (Claim("squared errors are better than absolute ones", "l2", "l1"),),
        flags=f"--model unet {LANDSCAPES}", has_curves=True,
        remarks="Squared and absolute errors are level: which of them leads changes with the seed. Poisson and cross entropy "
                "are level with them with one seed each, and 0.004 and 0.003 worse with the other. The KL divergence drives "
                "the training to white images: pixels are no distribution, so it has no minimum at the original and falls "
                "below 0 as predictions get brighter. Of its run the weights of step 0 are kept."),
    "architectures": Table(
        "C", "U-Net against encoder and decoder", "landscapes", "As above.",
        {"unet": Row("U-Net", reported="2,662,659 parameters, 0.19 s a picture", same_run="optimizers/adam"),
         "encoder_decoder": Row("encoder and decoder", "--model encoder_decoder", "744,387 parameters, 0.12 s a picture"),
         "ours": show_ours(AS_LONG_AS_ADAM, "optimizers/ours")},
        (Claim("the U-Net is better", "unet", "encoder_decoder"),), flags=LANDSCAPES, has_curves=True, measures_seconds=True,
        remarks="The U-Net is better with both seeds, by 0.006 and 0.009; with two, the interval of a difference is too wide to "
                "say so for certain. Without the connections that skip levels the network has a quarter of the parameters "
                "here, and takes a third of the minutes and half of the seconds a picture, but after 800 of its steps it no "
                "longer improves."),
}

D_TABLES = {
    "sets": Table(
        "D", "Networks, each on two training sets", "missing",
        "4,000 steps of 8 images of 1,024 blocks, for mobilenet_v2 500 steps of one; the project took 450 epochs, and had one "
        "test picture.",
        {"mlp": Row("mlp, the smaller set", "--model mlp", "MSE 22.09 of 255²"),
         "mlp-large": Row("mlp, 1,000 photos more", f"--model mlp {LARGER_SET}", "MSE 23.61 of 255²"),
         "cnn": Row("cnn, the smaller set", "--model cnn", "MSE 13.61 of 255²"),
         "cnn-large": Row("cnn, 1,000 photos more", f"--model cnn {LARGER_SET}", "MSE 13.90 of 255²"),
         "mobilenet_v2": Row("mobilenet_v2, the smaller set", f"--model mobilenet_v2 {FEWER}", "MSE 15.65 of 255²"),
         "mobilenet_v2-large": Row("mobilenet_v2, 1,000 photos more", f"--model mobilenet_v2 {FEWER} {LARGER_SET}",
                                   "MSE 17.04 of 255²"),
         "mlp_large": Row("mlp_large, the smaller set", "--model mlp_large", "MSE 64.22 of 255²"),
         "mlp_large-large": Row("mlp_large, 1,000 photos more", f"--model mlp_large {LARGER_SET}"),
         "tiny-imagenet": Row("all of Tiny-ImageNet", reported="MSE 446.78 of 255²", left_out=NEEDS_TINY_IMAGENET),
         "diffusion": Row("Stable Diffusion inpainting", "--model stable_diffusion", "MSE 312.80 of 255²", left_out=NEEDS_HUB),
         "ours": Row("lattice_mlp, as many minutes as the CNN",
                     "--model lattice_mlp --steps 1000000 --minutes {minutes:cnn}", is_ours=True)},
        (Claim("the larger set makes the MLP worse", "mlp", "mlp-large"),
         Claim("the larger set makes the CNN worse", "cnn", "cnn-large"), Claim("the CNN is better than the MLP", "cnn", "mlp"),
         Claim("the larger MLP is worse than the MLP", "mlp", "mlp_large")),
        flags=BLOCKS, has_curves=True,
        remarks="At equal steps the CNN gains from 1,000 further photos, and so does the larger MLP, by 0.002, each with one "
                "seed. The smaller MLP has a lower RMSE with them, too, and the larger MLP a lower one than the smaller, but "
                "with these seeds neither can be told from chance. The project saw the opposite on its one test picture; "
                "several would tell whether it holds there. The CNN is better than the best fill, and than our lattice_mlp, "
                "which is best at step 400 and then learns its training images by heart. An MLP on one block is no better than "
                "that fill, except for the larger one with 1,000 photos more. mobilenet_v2 takes more than half a second a step. "
                "Its training loss falls as that of the others, but not its holdout RMSE: probably batch normalization by "
                "averages over many images does not fit the single one, as with Pix2Pix in inference mode."),
    "blow-up": Table(
        "D", "The training that blew up", "missing", "The MLP on the smaller set.",
        {"usual": Row("learning rate 0.001", same_run="sets/mlp"),
         "0.03": Row("learning rate 0.03", "--learning-rate 0.03"),
         "0.05": Row("learning rate 0.05", "--learning-rate 0.05", "the loss rose from 0.002 to 0.12"),
         "cut": Row("the same, gradients cut at 0.01", "--learning-rate 0.05 --clip-norm 0.01"),
         "falling": Row("the same, a rate that rises and falls", "--learning-rate 0.05 --schedule cosine --warmup-steps 400"),
         "ours": show_ours("lattice_mlp, as many minutes as the CNN", "sets/ours")},
        (Claim("cut gradients avoid it", "cut", "0.05"), Claim("a rate that rises and falls avoids it", "falling", "0.05")),
        flags=f"--model mlp {BLOCKS}", has_curves=True,
        remarks="At 0.05 the training is lost before step 200 with all seeds: the outputs lie at an end of the sigmoid, where "
                "its gradient is 0, so the loss stays at 0.3 for good. At 0.03 that did not happen. A rate that rises slowly "
                "and falls keeps the rate of 0.05 from doing so with both seeds, cut gradients with the first one only: the "
                "mean and the wide interval of that row are of one training that learned and one that did not. The project's "
                "training had learned before it blew up, and was saved by its best weights. This one is lost so early that "
                "the best weights are the first ones, which do not help."),
}

E_TABLES = {
    "deepix": Table(
        "E", "DeePixV1 at both sizes", "tiles",
        "Width 8 instead of 32, and 400 steps of 64 images at each of three learning rates: 1.8 epochs, where the project took "
        "15 epochs and more at each.",
        {"small-1": Row("smaller network, rate 0.001", "--model deepix_small --learning-rate 0.001 --steps 400"),
         "small-2": Row("smaller network, then rate 0.0001",
                        "--model deepix_small --learning-rate 0.0001 --steps 400 --init-from {run:small-1}"),
         "small": Row("smaller network, then rate 0.00001",
                      "--model deepix_small --learning-rate 0.00001 --steps 400 --init-from {run:small-2}"),
         "large-1": Row("DeePixV1, rate 0.001", "--model deepix --learning-rate 0.001 --steps 400"),
         "large-2": Row("DeePixV1, then rate 0.0001",
                        "--model deepix --learning-rate 0.0001 --steps 400 --init-from {run:large-1}"),
         "large": Row("DeePixV1, then rate 0.00001",
                      "--model deepix --learning-rate 0.00001 --steps 400 --init-from {run:large-2}",
                      "12.6 of 255"),
         "middle": Row("a network of 1.8 million parameters", reported="13.2 of 255", left_out=NEEDS_SHAPE),
         "ours": Row("edsr, as many minutes as a third of DeePixV1's", "--model edsr --work-size 48 --steps 1000000 "
                     "--evaluation-images 200 --minutes {minutes:large-1}", is_ours=True)},
        (Claim("the larger network is better", "large", "small"),), flags=DEEPIX, has_curves=True,
        remarks="The larger network gains 0.001 at three times the minutes, 400 more steps at a lower rate gain 0.006 to 0.007. "
                "Both stay behind the smoothest surface with the same means of tiles, which trains nothing. edsr, which "
                "corrects that surface, is 3% below it after a third of DeePixV1's minutes."),
    "three-networks": Table(
        "E", "Find the area, depixelate it, sharpen it", "tiles",
        "What the project proposed and did not build, with deepix_small at width 8; one area in each image.",
        {"locate": Row("the first network finds the area", "--model locate --steps 600 --evaluate-every 200", finds_masks=True),
         "known": Row("the second, where the area is given", f"--model deepix_small {DEEPIX} --steps 600"),
         "found": Row("the second, where the first has found it",
                      f"--model deepix_small {DEEPIX} --steps 600 --unknown-masks --mask-run {{run:locate}}"),
         "sharp": Row("the third, which sharpens it",
                      f"--model deepix_small {DEEPIX} --steps 200 --adversarial --lambda 100 --unknown-masks "
                      "--mask-run {run:locate} --init-from {run:found}"),
         "ours": show_ours("edsr where the area is given, as many minutes as a third of DeePixV1's", "deepix/ours")},
        (Claim("the third, adversarial network costs RMSE", "found", "sharp"),), measures_detail=True,
        remarks="The second network is behind the smoothest surface with the same means of tiles, which trains nothing, and "
                "an area that is found instead of given costs 0.004. Its prediction has a third of the originals' detail. The "
                "third network raises that by a tenth, at no cost in RMSE that can be seen: 200 steps are too few for images "
                "that look sharp."),
    "several-areas": Table(
        "E", "Several areas in one image", "areas",
        "One to three areas of hidden_areas, pixelated, blurred, black or white, at 64x64; deepix_small at width 8.",
        {"locate": Row("the first network finds the areas", "--model locate --steps 600 --evaluate-every 200", finds_masks=True),
         "found": Row("the second restores them",
                      f"--model deepix_small {DEEPIX} --steps 600 --unknown-masks --mask-run {{run:locate}}"),
         "sharp": Row("the third sharpens them",
                      f"--model deepix_small {DEEPIX} --steps 200 --adversarial --lambda 100 --unknown-masks "
                      "--mask-run {run:locate} --init-from {run:found}")},
        (Claim("the third, adversarial network costs RMSE", "found", "sharp"),), measures_detail=True,
        remarks="The first network finds less of these areas than of tiles, and the second is 24% behind the harmonic fill "
                "with the true masks. The third is better, not worse: its holdout RMSE was still falling fast when the second "
                "ended, so what it gains may be further training. With more steps of the second network the comparison would "
                "be a fair one."),
}

TABLES = A_TABLES | B_TABLES | C_TABLES | D_TABLES | E_TABLES
