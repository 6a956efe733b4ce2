"""Linear layers on one-hot variables."""

from torch import Tensor

from choreo import native
from choreo.nn.kept import Kept
from choreo.nn.precision import Linear, few_rows


class SparseLinear(Linear):
    """A linear layer whose inputs are mostly zeros, as features [s, h] and codes are.

    With few rows a CPU spends its time on reading the weight. From one that is kept transposed it
    reads no more than the rows that belong to inputs other than zero.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self._table = Kept(_transposed)

    def forward(self, input: Tensor) -> Tensor:
        if few_rows(input, self.weight):
            return native.sparse_layer(input, self._table(self.weight), self.bias)
        return super().forward(input)


def _transposed(weight: Tensor) -> Tensor:
    return weight.T.contiguous()
