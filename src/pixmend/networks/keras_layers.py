"""Every layer that this package adds to Keras: with this import Keras opens the .keras file of an exported run."""

from pixmend.networks.layers.normalization import BatchNormalization
from pixmend.networks.layers.positions import PositionEmbedding
from pixmend.networks.layers.strided import DownsampleConv, UpsampleConv
from pixmend.networks.pconv_unet import PartialConv

__all__ = ["BatchNormalization", "DownsampleConv", "PartialConv", "PositionEmbedding", "UpsampleConv"]
