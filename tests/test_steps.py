"""A step as TensorFlow runs it: in its optimized graph, a weight's reading and its moving still have an order."""

from types import SimpleNamespace

import pytest
from tensorflow.python.eager import context
from test_learning import network, one_batch

from src.training.steps import OneByOne

MOVED = {"ResourceApplyAdam": 3, "AssignVariableOp": 1, "AssignSubVariableOp": 1, "AssignAddVariableOp": 1}


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


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_no_weight_moves_before_all_that_judge_by_it_have_read_it(optimizer):
    nodes = optimized_graph_of_a_step(network("pix2pix", precision="bfloat16", optimizer=optimizer))
    moves = [(node.name, handle) for node in nodes for handle in node.input[:MOVED.get(node.op, 0)]]
    reads = [(node.name, node.input[0]) for node in nodes if node.op == "ReadVariableOp"]
    pairs, earlier = [(read, move) for read, of in reads for move, by in moves if of == by], before(nodes)
    assert len(pairs) > 100
    assert [(read, move) for read, move in pairs if read not in earlier[move] and move not in earlier[read]] == []
