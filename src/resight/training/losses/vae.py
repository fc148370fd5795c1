"""The objective of a variational autoencoder (Kingma and Welling 2014), for SAVER's residual generator."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor
from torch.nn import functional as F

from resight.errors import ModelError
from resight.models.output import Output
from resight.training.losses.loss import Loss, State, Target


def kl_to_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """``KL(N(mean, sigma^2) || N(0, 1)) = -1/2 (1 + log sigma^2 - mean^2 - sigma^2)``, averaged over all entries."""
    mean, log_variance = mean.float(), log_variance.float()
    return -(1 + log_variance - mean.square() - log_variance.exp()).mean() / 2


class VAE(Loss):
    """Mean squared error of the reconstruction plus ``kl`` times the mean divergence of the code.

    SAVER's paper does not give the weight and the reductions. We use a small ``kl``, since the reconstruction should be
    crude but recognisable.
    """

    name: Literal["vae"] = "vae"
    kl: float = 1e-3
    needs_labels: ClassVar[bool] = False

    def check(self, output: Output) -> None:
        if output.reconstruction is None or output.latent is None:
            raise ModelError("the loss 'vae' needs a model that reconstructs its input, such as saver_vae.")

    def __call__(self, output: Output, target: Target, state: State) -> Tensor:
        self.check(output)
        assert output.reconstruction is not None and output.latent is not None
        error = F.mse_loss(output.reconstruction.float(), target.images.float())
        return error + self.kl * kl_to_normal(*output.latent)
