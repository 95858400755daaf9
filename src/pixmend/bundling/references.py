"""Publications of the methods that runs use, by the name of the network, the fill or the optimizer."""

from collections.abc import Iterable

PIX2PIX = ("P. Isola, J.-Y. Zhu, T. Zhou, A. A. Efros: Image-to-Image Translation with Conditional Adversarial Networks. "
           "CVPR 2017.")
UNET = "O. Ronneberger, P. Fischer, T. Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation. MICCAI 2015."
REFERENCES = {
    "pix2pix": PIX2PIX,
    "pix2pix_published": PIX2PIX,
    "unet": UNET,
    "residual_unet": UNET,
    "pconv_unet": "G. Liu, F. A. Reda, K. J. Shih, T.-C. Wang, A. Tao, B. Catanzaro: Image Inpainting for Irregular Holes Using "
                  "Partial Convolutions. ECCV 2018.",
    "edsr": "B. Lim, S. Son, H. Kim, S. Nah, K. M. Lee: Enhanced Deep Residual Networks for Single Image Super-Resolution. "
            "CVPR Workshops 2017.",
    "mobilenet_v2": "M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen: MobileNetV2: Inverted Residuals and Linear "
                    "Bottlenecks. CVPR 2018.",
    "EfficientNetLite0": "M. Tan, Q. V. Le: EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks. ICML 2019.",
    "EfficientNetV2B0": "M. Tan, Q. V. Le: EfficientNetV2: Smaller Models and Faster Training. ICML 2021.",
    "ConvNeXtTiny": "Z. Liu, H. Mao, C.-Y. Wu, C. Feichtenhofer, T. Darrell, S. Xie: A ConvNet for the 2020s. CVPR 2022.",
    "MobileNetV3Small": "A. Howard et al.: Searching for MobileNetV3. ICCV 2019.",
    "adam": "D. P. Kingma, J. Ba: Adam: A Method for Stochastic Optimization. ICLR 2015.",
    "telea": "A. Telea: An Image Inpainting Technique Based on the Fast Marching Method. Journal of Graphics Tools 9(1), 2004.",
    "navier_stokes": "M. Bertalmio, A. L. Bertozzi, G. Sapiro: Navier-Stokes, Fluid Dynamics, and Image and Video Inpainting. "
                     "CVPR 2001.",
}


def list_references(names: Iterable[str]) -> list[str]:
    """Return the publications of the methods with these names, each once."""
    return list(dict.fromkeys(REFERENCES[name] for name in names if name in REFERENCES))
