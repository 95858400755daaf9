"""A step as TensorFlow runs it: in its optimized graph, a weight's reading and its moving still have an order."""

from types import SimpleNamespace

import pytest
from keras import ops
from tensorflow.python.eager import context
from test_learning import network, one_batch

from src.training import loop
from src.training.adversarial import Adversarial
from src.training.steps import OneByOne

MOVED = {"ResourceApplyAdam": 3, "AssignVariableOp": 1, "AssignSubVariableOp": 1, "AssignAddVariableOp": 1}


class ReadApart(Adversarial):
    """Reads each weight once for each opinion, which TensorFlow's dependency optimizer does not stand."""

    def _judge(self, seen, painted, training):
        judge = self.discriminator
        frozen = [ops.stop_gradient(v.value) for v in judge.trainable_variables]
        rest = [v.value for v in judge.non_trainable_variables]
        for_painter, _ = judge.stateless_call(frozen, rest, [seen, painted], training=training)
        return for_painter, judge([seen, ops.stop_gradient(painted)], training=training)


def optimized_graph_of_a_step(model):
    (seen, mask), whole = one_batch()
    steps = OneByOne(model, SimpleNamespace(at=None))
    context.context().enable_graph_collection()
    try:
        steps.make([((seen, mask), whole)], [1e-3])
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
def test_no_weight_moves_before_all_that_judge_by_it_have_read_it(optimizer):
    assert unordered(network("pix2pix", precision="bfloat16", optimizer=optimizer)) == []


def test_nor_where_each_opinion_reads_the_weights_anew():
    usual = network("pix2pix", precision="bfloat16")
    model = ReadApart(usual.painter, usual.settings)
    loop.compile_model(model, usual.settings)
    assert unordered(model) == []
