import torch
from golden_numbers import golden

from choreo.skills import Codebook


def golden_codebook(data: dict[str, torch.Tensor]) -> Codebook:
    book = Codebook(16, 8, float(data["decay"]))
    book.codes.copy_(data["weight_init"].T)
    book.total.copy_(data["weight_init"].T)
    return book


def test_moving_averages_equal_golden_numbers() -> None:
    data = golden("codebook_ema")
    book = golden_codebook(data)
    for call in range(3):
        z = data[f"z{call}"]
        quantised, index = book.quantise(z)
        book.update(z, index)
        assert torch.equal(index, data[f"index{call}"])
        for ours, theirs in (
            (quantised, data[f"quantized{call}"]),
            (book.codes, data[f"weight{call}"].T),
            (book.count, data[f"cluster_size{call}"]),
            (book.total, data[f"embed_avg{call}"].T),
            (book.usage, data[f"usage{call}"]),
        ):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_quantised_output_is_the_nearest_code_with_the_gradient_of_the_identity() -> None:
    book = Codebook(2, 1, 0.99)
    book.codes.copy_(torch.tensor([[0.0], [1.0]]))
    z = torch.tensor([[0.4], [0.7]], requires_grad=True)
    quantised, index = book.quantise(z)
    assert index.tolist() == [0, 1]
    assert quantised.flatten().tolist() == [0.0, 1.0]
    (gradient,) = torch.autograd.grad((quantised * torch.tensor([[2.0], [3.0]])).sum(), z)
    assert gradient.flatten().tolist() == [2.0, 3.0]


def test_resampling_replaces_unused_codes_alone_and_clears_the_counters() -> None:
    book = Codebook(3, 1, 0.99)
    book.codes.copy_(torch.tensor([[0.0], [50.0], [60.0]]))
    book.usage.copy_(torch.tensor([5.0, 0.0, 0.0]))
    z = torch.tensor([[0.0], [10.0]])
    assert book.resample(z, torch.Generator().manual_seed(0)) == 2
    # Code 1 must take 10 (0 is at distance 0 of code 0); then all distances are 0 and any goes.
    assert book.codes[0, 0] == 0 and book.codes[1, 0] == 10 and book.codes[2, 0] in (0, 10)
    assert book.total[1, 0] == 10
    assert book.usage.tolist() == [0, 0, 0]


def test_resampling_draws_in_proportion_to_the_distance() -> None:
    z = torch.tensor([[1.0], [3.0]])
    generator, far = torch.Generator().manual_seed(0), 0
    for _ in range(400):
        book = Codebook(2, 1, 0.99)
        book.codes.copy_(torch.tensor([[0.0], [1000.0]]))
        book.usage.copy_(torch.tensor([1.0, 0.0]))
        book.resample(z, generator)
        far += int(book.codes[1, 0] == 3)
    assert abs(far / 400 - 0.75) < 0.09  # four standard errors


def test_averages_agree_with_vector_quantize_pytorch_where_every_code_is_used() -> None:
    from vector_quantize_pytorch import VectorQuantize

    random = torch.Generator().manual_seed(0)
    centres = torch.randn(4, 6, generator=random) * 5
    z = (centres.repeat_interleave(8, 0) + 0.1 * torch.randn(32, 6, generator=random))[None]
    oracle = VectorQuantize(6, 4, decay=0.9, eps=1e-5, threshold_ema_dead_code=0).train()
    book = Codebook(4, 6, 0.9)
    book.codes.copy_(centres)
    book.count.fill_(8.0)
    book.total.copy_(centres * 8)
    state = oracle.state_dict()
    state["_codebook.embed"].copy_(centres[None])
    state["_codebook.embed_avg"].copy_(centres[None] * 8)
    state["_codebook.cluster_size"].fill_(8.0)
    quantised, index, _ = oracle(z)
    ours, our_index = book.quantise(z[0])
    book.update(z[0], our_index)
    assert torch.equal(index[0], our_index)
    torch.testing.assert_close(quantised[0], ours, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(oracle._codebook.embed[0], book.codes, atol=1e-4, rtol=1e-4)


def test_perplexity_is_the_number_of_codes_used_alike() -> None:
    book = Codebook(4, 2, decay=0.9)
    for counts, expected in (([3, 3, 3, 3], 4.0), ([5, 5, 0, 0], 2.0), ([7, 0, 0, 0], 1.0)):
        book.count.copy_(torch.tensor(counts))
        torch.testing.assert_close(book.perplexity(), torch.tensor(expected))
