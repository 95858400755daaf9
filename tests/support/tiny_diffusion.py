"""Save an inpainting pipeline of a few thousand random weights; run in the environment of requirements-diffusion.txt."""

import json
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionInpaintPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def build_tokenizer(folder):
    """Return a tokenizer in which every letter is a word, and the number of words."""
    words = [letter + end for letter in LETTERS for end in ("", "</w>")] + ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer.from_pretrained(folder, model_max_length=16), len(words)


def main(folder):
    torch.manual_seed(1)
    folder.mkdir(parents=True)
    words, count = build_tokenizer(folder)
    text = CLIPTextModel(CLIPTextConfig(vocab_size=count, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                                        num_attention_heads=2, max_position_embeddings=16, bos_token_id=count - 2,
                                        eos_token_id=count - 1, pad_token_id=count - 1))
    down, up = ("DownBlock2D", "CrossAttnDownBlock2D"), ("CrossAttnUpBlock2D", "UpBlock2D")
    unet = UNet2DConditionModel(sample_size=8, in_channels=9, out_channels=4, block_out_channels=(8, 16), layers_per_block=1,
                                down_block_types=down, up_block_types=up, cross_attention_dim=16, attention_head_dim=4,
                                norm_num_groups=4)
    vae = AutoencoderKL(in_channels=3, out_channels=3, latent_channels=4, block_out_channels=(8,) * 4, norm_num_groups=4,
                        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)
    scheduler = DDIMScheduler(steps_offset=1, clip_sample=False)
    StableDiffusionInpaintPipeline(vae, text, words, unet, scheduler, safety_checker=None, feature_extractor=None,
                                   requires_safety_checker=False).save_pretrained(folder / "pipeline")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
