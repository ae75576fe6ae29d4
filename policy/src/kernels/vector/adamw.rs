//! The optimizer's pass.

/// One update's constants; see [`super::AdamW`].
#[derive(Clone, Copy, Debug)]
pub(in crate::kernels) struct AdamWStep {
    pub(in crate::kernels) beta1: f32,
    pub(in crate::kernels) beta2: f32,
    pub(in crate::kernels) epsilon: f32,
    /// Factor of the gradient (clipping).
    pub(in crate::kernels) grad_scale: f32,
    /// Factor of the parameter (decoupled weight decay).
    pub(in crate::kernels) keep: f32,
    /// Learning rate over the first moment's bias correction.
    pub(in crate::kernels) rate: f32,
    /// One over the square root of the second moment's bias correction.
    pub(in crate::kernels) root_scale: f32,
}

/// A parameter with its moments.
pub(in crate::kernels) struct AdamWState<'a> {
    pub(in crate::kernels) param: &'a mut [f32],
    pub(in crate::kernels) first: &'a mut [f32],
    pub(in crate::kernels) second: &'a mut [f32],
}

vectorized! {
    /// One AdamW update in place.
    fn adamw<'a>(state: AdamWState<'a>, grad: &'a [f32], step: AdamWStep) {
        let n = grad.len();
        let (param, first, second) = (&mut state.param[..n], &mut state.first[..n], &mut state.second[..n]);
        for i in 0..n {
            let grad = grad[i] * step.grad_scale;
            first[i] = step.beta1 * first[i] + (1.0 - step.beta1) * grad;
            second[i] = step.beta2 * second[i] + (1.0 - step.beta2) * grad * grad;
            let update = first[i] / (second[i].sqrt() * step.root_scale + step.epsilon);
            param[i] = step.keep * param[i] - step.rate * update;
        }
    }
}
