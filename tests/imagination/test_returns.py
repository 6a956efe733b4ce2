import torch
from golden_numbers import golden
from torch import Tensor

from choreo.imagination import discount_weights, lambda_return


def test_lambda_return_equals_golden_numbers() -> None:
    data = {k: v.squeeze(-1) if v.ndim == 3 else v for k, v in golden("lambda_return").items()}
    reward, value, discount = data["reward"], data["value"], data["discount"]
    target = lambda_return(
        reward[:-1], value[:-1], discount[:-1], value[-1], float(data["lambda_"])
    )
    torch.testing.assert_close(target, data["target"], atol=1e-5, rtol=0)
    torch.testing.assert_close(discount_weights(discount), data["weight"], atol=1e-5, rtol=0)


def test_lambda_return_by_hand() -> None:
    """Two steps: r = 1, 2; V = 10, 20, then 30; gamma 0.5, lambda 0.5."""
    reward, value = torch.tensor([[1.0], [2.0]]), torch.tensor([[10.0], [20.0]])
    discount = torch.full((2, 1), 0.5)
    target = lambda_return(reward, value, discount, torch.tensor([30.0]), 0.5)
    # t=1: 2 + 0.5 * 30 = 17; t=0: 1 + 0.5 * (0.5 * V(1) + 0.5 * 17) = 1 + 0.5 * 18.5 = 10.25
    assert target.flatten().tolist() == [10.25, 17.0]


def test_lambda_one_is_the_discounted_sum_and_lambda_zero_one_step() -> None:
    reward, value = torch.rand(5, 3), torch.rand(5, 3)
    discount, last = torch.full((5, 3), 0.9), torch.rand(3)
    everything = lambda_return(reward, value, discount, last, 1.0)
    by_hand = sum(0.9**k * reward[k] for k in range(5)) + 0.9**5 * last
    torch.testing.assert_close(everything[0], by_hand)
    one_step = lambda_return(reward, value, discount, last, 0.0)
    torch.testing.assert_close(one_step[:-1], reward[:-1] + 0.9 * value[1:])


def test_gradients_of_all_that_goes_in() -> None:
    """By finite differences, in double precision."""
    torch.manual_seed(0)
    rows = [torch.rand(4, 2, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    last = torch.rand(2, dtype=torch.float64, requires_grad=True)

    def returns(reward: Tensor, value: Tensor, discount: Tensor, last: Tensor) -> Tensor:
        return lambda_return(reward, value, discount, last, 0.9)

    assert torch.autograd.gradcheck(returns, (*rows, last))


def test_what_follows_a_terminal_start_weighs_nothing() -> None:
    discount = torch.full((4, 2), 0.5)
    discount[0, 1] = 0.0
    assert discount_weights(discount).tolist() == [[1, 1], [0.5, 0], [0.25, 0], [0.125, 0]]
