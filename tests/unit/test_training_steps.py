"""Training steps on TensorFlow: batches are not copied, and weights are read before they change."""

from types import SimpleNamespace

import numpy as np
import pytest
from keras import ops
from support.networks import as_inputs, compile_small, example_batch
from tensorflow.python.eager import context

from pixmend import backend, competitions
from pixmend.config import Settings
from pixmend.data.dataset import open_dataset
from pixmend.training import trainer
from pixmend.training.adversarial import AdversarialModel
from pixmend.training.batches import ImageBatches
from pixmend.training.steps import TensorFlowSteps

MOVED = {"ResourceApplyAdam": 3, "AssignVariableOp": 1, "AssignSubVariableOp": 1, "AssignAddVariableOp": 1}


class ReadApart(AdversarialModel):
    """Reads each weight once for each opinion, which TensorFlow's dependency optimizer does not stand."""

    def _score_fake(self, seen, painted, training):
        judge = self.discriminator
        frozen = [ops.stop_gradient(v.value) for v in judge.trainable_variables]
        rest = [v.value for v in judge.non_trainable_variables]
        for_painter, _ = judge.stateless_call(frozen, rest, [seen, painted], training=training)
        return for_painter, judge([seen, ops.stop_gradient(painted)], training=training)


def optimized_graph_of_a_step(model):
    damaged, masks, whole = example_batch((64, 64, 3))
    seen, mask = as_inputs(damaged, masks)
    steps = TensorFlowSteps(model, SimpleNamespace(get_batch=None))
    context.context().enable_graph_collection()
    try:
        steps.run([((seen, mask), whole)], [1e-3])
        return max(context.context().export_run_metadata().partition_graphs, key=lambda graph: len(graph.node)).node
    finally:
        context.context().disable_graph_collection()


def before(nodes):
    """The names of all nodes that must have run before each node."""
    needs = {node.name: [name.lstrip("^").split(":")[0] for name in node.input] for node in nodes}

    def reached(name):
        found, left = set(), [name]
        while left:
            new = set(needs[left.pop()]) - found
            found |= new
            left += new
        return found

    return {name: reached(name) for name in needs}


def unordered(model):
    """Readings and moves of one weight of which neither must wait for the other."""
    nodes = optimized_graph_of_a_step(model)
    moves = [(node.name, handle) for node in nodes for handle in node.input[:MOVED.get(node.op, 0)]]
    reads = [(node.name, node.input[0]) for node in nodes if node.op == "ReadVariableOp"]
    pairs, earlier = [(read, move) for read, of in reads for move, by in moves if of == by], before(nodes)
    assert len(pairs) > 100
    return [(read, move) for read, move in pairs if read not in earlier[move] and move not in earlier[read]]


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_no_weight_changes_before_all_readers_have_read_it(optimizer):
    assert unordered(compile_small("pix2pix_published", precision="bfloat16", optimizer=optimizer)) == []


def test_no_weight_changes_early_when_it_is_read_twice():
    usual = compile_small("pix2pix_published", precision="bfloat16")
    model = ReadApart(usual.generator, usual.settings)
    trainer.compile_model(model, usual.settings)
    assert unordered(model) == []


@pytest.mark.parametrize("changes", [{}, {"fresh_masks": True}, {"loss_region": "hole"}], ids=str)
def test_a_batch_reaches_tensorflow_uncopied(changes, prepared_home):
    settings = Settings(home=str(prepared_home), size=32, batch_size=3, **changes)
    batches = ImageBatches(settings, open_dataset(settings), competitions.get_competition("demo"))
    kept = batches.get_batch(5)
    steps = TensorFlowSteps(SimpleNamespace(jit_compile=None), SimpleNamespace(get_batch=lambda step: kept))
    (seen, mask), whole, weight = steps.load(5)
    for tensor, array in ((seen, kept[0][0]), (mask, kept[0][1]), (whole, kept[1])):
        assert np.array_equal(tensor, array)
        assert np.shares_memory(np.asarray(tensor), array)
    assert weight is None if kept[2] is None else np.array_equal(weight.numpy(), kept[2])


def test_unaligned_arrays_are_copied():
    room = backend.allocate_aligned((4, 3))
    room[:] = np.arange(12).reshape(4, 3)
    for array in (room[:, 1:], room[1:], np.asfortranarray(room)):
        np.testing.assert_array_equal(backend.to_tensor(array), array)
