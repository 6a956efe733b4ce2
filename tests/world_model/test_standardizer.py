import torch

from choreo.envs import ArraySpec
from choreo.world_model.encoder import Standardizer


def test_small_deviations_count_as_a_share_of_the_largest() -> None:
    rows = {"observation": torch.tensor([[-10.0, -0.1], [10.0, 0.1]])}
    for floor, scale in ((0.05, 0.05), (0.001, 0.01)):  # deviations are as 1 to 0.01
        standardizer = Standardizer({"observation": ArraySpec((2,), "float32")})
        standardizer.fit(rows, floor=floor)
        deviation = rows["observation"][:, 0].std()
        wide = standardizer(rows)["observation"][1]
        torch.testing.assert_close(wide, torch.tensor([10.0, 0.1 / scale]) / deviation)
