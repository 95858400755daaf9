"""The choice of Keras's backend: JAX on an NVIDIA GPU, TensorFlow elsewhere, and always what KERAS_BACKEND says."""

import pytest

from pixmend import backend
from pixmend.errors import FlagError


@pytest.mark.parametrize(("has_packages", "has_device", "chosen", "expected"), [
    (True, True, "", "jax"), (True, False, "", "tensorflow"), (False, True, "", "tensorflow"),
    (True, True, "tensorflow", "tensorflow"),
    (False, False, "jax", "jax"),
])
def test_backend_fits_the_machine(tmp_path, monkeypatch, has_packages, has_device, chosen, expected):
    if has_packages:
        (tmp_path / "jax_cuda12_plugin").mkdir()
        (tmp_path / "jax_cuda12_plugin/__init__.py").touch()
    if has_device:
        (tmp_path / "nvidia1").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(backend, "NVIDIA_DEVICES", (str(tmp_path / "nvidia[0-9]*"),))
    monkeypatch.setenv("KERAS_BACKEND", chosen)
    assert backend.get_name() == expected


@pytest.mark.parametrize(("error", "expected"), [
    (ValueError("UNKNOWN: Gloo AllGather failed: Connection reset by peer"), True),   # of jax.device_put
    (ValueError("Incompatible shapes"), False), (TypeError("UNKNOWN: no status"), False),
])
def test_a_status_of_the_runtime_is_told_from_other_errors(error, expected):
    assert backend.is_device_error(error) is expected


@pytest.mark.parametrize(("details", "expected"), [
    ({"compute_capability": (7, 5)}, False), ({"compute_capability": (12, 0)}, True), ({}, True)], ids=str)
def test_a_gpu_that_only_converts_bfloat16_is_told_on_tensorflow(monkeypatch, details, expected):
    import tensorflow

    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setattr(tensorflow.config, "list_physical_devices", lambda kind=None: ["a GPU"])
    monkeypatch.setattr(tensorflow.config.experimental, "get_device_details", lambda device: details)
    assert backend.supports_bfloat16() is expected


def test_other_backend_of_keras_is_refused(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(FlagError, match="KERAS_BACKEND"):
        backend.start_keras()
