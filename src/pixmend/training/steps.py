"""The steps of a network: one after the other on TensorFlow; on JAX a group is given to the device at once.

On JAX a step is one function, compiled once for the whole run, that is called again before its last call has ended: the device
goes from step to step by itself, batches are copied to it ahead, and their losses are fetched once a group. So a group of any
length has the same bits as its steps one by one.
"""

import numpy as np
from keras import ops

from pixmend import backend
from pixmend.training.device_batches import expand_batch


def build_steps(model, batches):
    return JaxSteps(model, batches) if backend.name() == "jax" else TensorFlowSteps(model, batches)


class TensorFlowSteps:
    """A step, then its losses."""

    usual_group = 1

    def __init__(self, model, batches):
        self.model, self.batches = model, batches
        self.one = backend.as_graph(self._one, model.jit_compile)

    def load(self, step):
        inputs, truth, weight = self.batches.get_batch(step)
        return tuple(map(backend.tensor, inputs)), backend.tensor(truth), None if weight is None else backend.tensor(weight)

    def make(self, batches, rates):
        """The losses of each step."""
        told = [self.one(batch, np.float32(rate)) for batch, rate in zip(batches, rates, strict=True)]
        return [{name: float(value) for name, value in of_a_step.items()} for of_a_step in told]

    def _one(self, batch, rate):
        """What Keras's `train_on_batch` does, with the learning rate and the figures' new beginning in the graph, too."""
        self.model.optimizer.learning_rate.assign(rate)
        for figure in self.model.metrics_variables:
            figure.assign(ops.zeros_like(figure))
        return self.model.train_step(batch)


class JaxSteps:
    """All steps of a group, then their losses."""

    def __init__(self, model, batches):
        self.model, self.batches = model, batches
        self.rate_at = next(i for i, v in enumerate(model.optimizer.variables) if v is model.optimizer.learning_rate)
        self.one, self.to_device = backend.compiled(self._one), backend.to_device()

    @property
    def usual_group(self):
        return GROUP if backend.accelerators() else 1

    def load(self, step):
        return {name: self.to_device(array) for name, array in self.batches.get_compact_batch(step).items()}

    def make(self, batches, rates):
        state, told = tuple([v.value for v in variables] for variables in self._variables()), []
        for batch, rate in zip(batches, rates, strict=True):
            named, state = self.one(state, batch, np.float32(rate))
            told.append(named)
        for variables, values in zip(self._variables(), state, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        return [{name: float(named[name]) for name in sorted(named)} for named in backend.on_host(told)]

    def _variables(self):
        model = self.model
        return model.trainable_variables, model.non_trainable_variables, model.optimizer.variables, model.metrics_variables

    def _one(self, state, stored, rate):
        """What is compiled: a step of Keras's own, its figures begun anew as `train_on_batch` does."""
        trainable, rest, optimizer, figures = state
        optimizer = [rate if i == self.rate_at else value for i, value in enumerate(optimizer)]
        figures = [ops.zeros_like(value) for value in figures]
        return self.model.train_step((trainable, rest, optimizer, figures), expand_batch(stored, self.batches.settings))


GROUP = 16
