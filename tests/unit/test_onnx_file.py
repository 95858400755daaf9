"""Every network as an ONNX file: onnxruntime computes what Keras does, or there is no file."""

import pytest
from support.networks import build_small

from pixmend.networks.registry import NETWORKS
from pixmend.sharing import onnx_file
from pixmend.training import setup

WITHOUT_ONNX = {"locate", "pretrained_unet"}   # an operation of theirs has no form there


@pytest.mark.long
@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_file_computes_the_same_unless_the_network_has_none(name, tmp_path):
    window = {"window": 2.0, "work_size": 64} if NETWORKS[name].defaults.get("window") else {}
    network = setup.get_generator(build_small(name, (64, 64, 3), **window)[0])
    difference = onnx_file.write_onnx(tmp_path / "model.onnx", network)
    assert (tmp_path / "model.onnx").exists() == (difference is not None) == (name not in WITHOUT_ONNX)
    assert difference is None or difference < 1e-4
