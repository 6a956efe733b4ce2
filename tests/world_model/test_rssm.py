import torch
from golden_numbers import golden, put

from choreo.world_model import RSSM, State, kl_balance


def golden_rssm() -> tuple[RSSM, dict[str, torch.Tensor]]:
    data = golden("rssm_step")
    rssm = RSSM(actions=6, embed=48, deter=24, hidden=20, variables=8, classes=8)
    names = {
        "cell.linear": "_cell._layer",
        "cell.norm": "_cell._norm",
        "input": "_img_in.0",
        "prior_hidden": "_ensemble_img_out.0.0",
        "prior_logit": "_ensemble_img_dist.0",
        "posterior_hidden": "_obs_out.0",
        "posterior_logit": "_obs_dist",
    }
    weights = {
        f"{ours}.{kind}": data[f"w.{theirs}.{kind}"]
        for ours, theirs in names.items()
        for kind in ("weight", "bias")
    }
    put(rssm, weights)
    return rssm, data


def previous(data: dict[str, torch.Tensor]) -> State:
    return State(data["prev_deter"], data["prev_stoch"], torch.zeros_like(data["prev_stoch"]))


def test_observe_step_equals_golden_numbers_with_resets() -> None:
    rssm, data = golden_rssm()
    state = rssm.observe_step(previous(data), data["action"], data["embed"], data["is_first"])
    prior = rssm.prior_logits(state.deter)
    torch.testing.assert_close(state.deter, data["prior_deter"], atol=1e-5, rtol=0)
    torch.testing.assert_close(state.logit, data["post_logit"], atol=1e-5, rtol=0)
    torch.testing.assert_close(prior, data["prior_logit"], atol=1e-5, rtol=0)


def test_imagine_step_equals_golden_numbers() -> None:
    rssm, data = golden_rssm()
    state = rssm.imagine_step(previous(data), data["action"])
    torch.testing.assert_close(state.deter, data["imagined_deter"], atol=1e-5, rtol=0)
    torch.testing.assert_close(state.logit, data["imagined_logit"], atol=1e-5, rtol=0)


def test_filtering_a_batch_equals_stepping_through_it() -> None:
    """What training computes over (B, T) is what acting computes step by step."""
    rssm, _ = golden_rssm()
    random = torch.Generator().manual_seed(0)
    embed, action = torch.randn(3, 6, 48, generator=random), torch.randn(3, 6, 6, generator=random)
    is_first = torch.zeros(3, 6, dtype=torch.bool)
    is_first[:, 0], is_first[1, 3] = True, True
    batch, prior = rssm.observe(embed, action, is_first, torch.Generator().manual_seed(1))
    stream = torch.Generator().manual_seed(1)
    state = rssm.initial(3)
    for t in range(6):
        state = rssm.observe_step(state, action[:, t], embed[:, t], is_first[:, t], stream)
        torch.testing.assert_close(batch.deter[:, t], state.deter)
        torch.testing.assert_close(batch.logit[:, t], state.logit)
        torch.testing.assert_close(prior[:, t], rssm.prior_logits(state.deter))


def test_nothing_before_a_reset_reaches_what_comes_after() -> None:
    rssm, _ = golden_rssm()
    random = torch.Generator().manual_seed(0)
    embed = torch.randn(1, 5, 48, generator=random)
    action = torch.randn(1, 5, 6, generator=random)
    is_first = torch.tensor([[True, False, False, True, False]])
    changed_embed, changed_action = embed.clone(), action.clone()
    changed_embed[:, :3] += 1.0
    changed_action[:, :4] -= 1.0  # the action of the reset step belongs to the old episode
    one, _ = rssm.observe(embed, action, is_first, torch.Generator().manual_seed(1))
    two, _ = rssm.observe(changed_embed, changed_action, is_first, torch.Generator().manual_seed(1))
    assert not torch.equal(one.deter[:, 2], two.deter[:, 2])
    assert torch.equal(one.logit[:, 3:], two.logit[:, 3:])
    assert torch.equal(one.deter[:, 3:], two.deter[:, 3:])


def test_samples_are_one_hot_and_carry_the_gradient_of_the_probabilities() -> None:
    rssm, data = golden_rssm()
    state = rssm.imagine_step(previous(data), data["action"], torch.Generator().manual_seed(0))
    assert set(state.stoch.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(state.stoch.sum(-1), torch.ones(7, 8))
    picked = state.stoch[0, 0, 0]
    (gradient,) = torch.autograd.grad(picked, state.logit)
    probs = torch.softmax(state.logit[0, 0], -1)
    expected = probs * (torch.eye(8)[0] - probs[0])
    torch.testing.assert_close(gradient[0, 0], expected)


def test_kl_balance_equals_golden_numbers() -> None:
    for name in ("kl_free1", "kl_free30"):
        data = golden(name)
        post = data["post_logit"].requires_grad_()
        prior = data["prior_logit"].requires_grad_()
        loss, value = kl_balance(post, prior, float(data["balance"]), float(data["free"]))
        torch.testing.assert_close(loss, data["loss"][0], atol=1e-5, rtol=0)
        torch.testing.assert_close(value, data["value"], atol=1e-5, rtol=0)
        grads = torch.autograd.grad(loss, (post, prior))
        torch.testing.assert_close(grads[0], data["grad_post"], atol=1e-5, rtol=0)
        torch.testing.assert_close(grads[1], data["grad_prior"], atol=1e-5, rtol=0)
