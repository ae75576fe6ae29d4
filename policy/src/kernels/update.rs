//! AdamW (Loshchilov & Hutter 2019) with PyTorch's arithmetic: one pass over a parameter and its moments.

use super::on_cpu;
use super::vector::{self, AdamWState, AdamWStep};
use burn::prelude::*;
use burn::tensor::TensorData;
use rayon::prelude::*;

/// Values per task.
const PART: usize = 1 << 14;

/// The values of a tensor that is not tracked by autodiff, in a row: in memory where that is the device's memory too.
#[derive(Clone, Debug)]
pub enum Flat {
    /// In memory.
    Host(Vec<f32>),
    /// On another device, `[n]`.
    Device(Box<Tensor<1>>),
}

impl Flat {
    /// Takes the values of a tensor; they are not copied where nobody else holds them.
    ///
    /// # Panics
    /// If they are not `f32`.
    pub fn of<const D: usize>(x: Tensor<D>) -> Self {
        if on_cpu(&x.device()) {
            return Self::Host(x.into_data().try_into_vec::<f32>().expect("parameters are f32"));
        }
        Self::Device(Box::new(x.flatten(0, D - 1)))
    }
    /// These values, for a parameter on `device`.
    pub fn new(values: Vec<f32>, device: &Device) -> Self {
        if on_cpu(device) {
            return Self::Host(values);
        }
        let n = values.len();
        Self::Device(Box::new(Tensor::from_data(TensorData::new(values, [n]), device)))
    }
    /// The values, in memory.
    pub fn values(&self) -> Vec<f32> {
        match self {
            Self::Host(values) => values.clone(),
            Self::Device(values) => values.to_data().iter::<f32>().collect(),
        }
    }
    /// The sum of squares, for a global norm.
    pub fn sum_of_squares(&self) -> f64 {
        match self {
            Self::Host(values) => {
                values.chunks(PART).map(|part| f64::from(vector::sum_of_squares(part))).sum()
            }
            Self::Device(values) => f64::from((**values).clone().square().sum().into_scalar::<f32>()),
        }
    }
}

/// Running means of a parameter's gradient and squared gradient.
#[derive(Clone, Debug)]
pub struct Moments {
    /// Of the gradient.
    pub first: Flat,
    /// Of its square.
    pub second: Flat,
}

/// Settings of one update.
#[derive(Clone, Copy, Debug)]
pub struct AdamW {
    /// Learning rate.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Decay of the first and second moment.
    pub betas: [f64; 2],
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Factor of the gradient (clipping).
    pub grad_scale: f64,
    /// Number of this update, from 1.
    pub step: u64,
}

impl AdamW {
    /// The same with steps `factor` times as long, and as much decay.
    #[must_use]
    pub fn faster(&self, factor: f64) -> Self {
        let (learning_rate, weight_decay) = (self.learning_rate * factor, self.weight_decay / factor);
        Self { learning_rate, weight_decay, ..*self }
    }

    fn constants(&self) -> AdamWStep {
        let [beta1, beta2] = self.betas;
        let correction = |beta: f64| 1.0 - beta.powf(self.step as f64);
        AdamWStep {
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            epsilon: self.epsilon as f32,
            grad_scale: self.grad_scale as f32,
            keep: (1.0 - self.learning_rate * self.weight_decay) as f32,
            rate: (self.learning_rate / correction(beta1)) as f32,
            root_scale: correction(beta2).sqrt().recip() as f32,
        }
    }

    /// The updated parameter, which must not be tracked by autodiff.
    ///
    /// # Panics
    /// If parameter, gradient and moments are of different sizes or in different places.
    pub fn apply<const D: usize>(&self, param: Tensor<D>, grad: Flat, moments: &mut Moments) -> Tensor<D> {
        let (shape, device) = (param.dims(), param.device());
        match (Flat::of(param), grad, &mut moments.first, &mut moments.second) {
            (Flat::Host(mut param), Flat::Host(grad), Flat::Host(first), Flat::Host(second)) => {
                assert_eq!([first.len(), second.len()], [grad.len(); 2], "moments of another parameter");
                self.on_host([&mut param, first, second], &grad);
                Tensor::from_data(TensorData::new(param, shape), &device)
            }
            (Flat::Device(param), Flat::Device(grad), Flat::Device(first), Flat::Device(second)) => {
                self.on_device(*param, *grad, [first, second]).reshape(shape)
            }
            _ => panic!("a parameter, its gradient and its moments live in one place"),
        }
    }

    fn on_host(&self, [param, first, second]: [&mut Vec<f32>; 3], grad: &[f32]) {
        let step = self.constants();
        let moments = first.par_chunks_mut(PART).zip(second.par_chunks_mut(PART));
        param.par_chunks_mut(PART).zip(moments).zip(grad.par_chunks(PART)).for_each(
            |((param, (first, second)), grad)| {
                vector::adamw(AdamWState { param, first, second }, grad, step);
            },
        );
    }

    fn on_device(
        &self,
        param: Tensor<1>,
        grad: Tensor<1>,
        [first, second]: [&mut Tensor<1>; 2],
    ) -> Tensor<1> {
        let step = self.constants();
        let grad = grad.mul_scalar(step.grad_scale);
        *first = first.clone().mul_scalar(step.beta1) + grad.clone().mul_scalar(1.0 - step.beta1);
        *second = second.clone().mul_scalar(step.beta2) + grad.square().mul_scalar(1.0 - step.beta2);
        let root = second.clone().sqrt().mul_scalar(step.root_scale).add_scalar(step.epsilon);
        param.mul_scalar(step.keep) - (first.clone() / root).mul_scalar(step.rate)
    }
}
