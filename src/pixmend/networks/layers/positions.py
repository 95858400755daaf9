"""A learned vector for each position of a sequence."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("pixmend")
class PositionEmbedding(layers.Layer):
    """Adds a learned vector to each position; the first vectors are normal with this deviation."""

    def __init__(self, deviation: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.deviation = deviation

    def build(self, shape: tuple[int | None, int, int]) -> None:
        initializer = keras.initializers.RandomNormal(0.0, self.deviation) if self.deviation else "zeros"
        self.embedding = self.add_weight(shape=shape[1:], initializer=initializer, name="embedding")

    def call(self, x: Any) -> Any:
        return x + ops.cast(self.embedding, x.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "deviation": self.deviation}
