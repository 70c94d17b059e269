"""Pure tensor functions: masks, scores, densities per layer, schedules.

They take tensors of shape `(..., out, in)`, do not change their arguments and draw no random numbers. Methods are
written in terms of them.
"""
