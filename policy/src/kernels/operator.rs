//! What a fused operator is, and how burn runs one: on the CPU backend directly, under autodiff as one node with the
//! operator's own backward pass.

use super::buffer::Buffer;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};
use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};
use std::fmt::Debug;
use std::sync::Arc;

/// A function of `N` tensors with its gradient, on slices.
pub(super) trait Operator<const N: usize>: Clone + Debug + Send + Sync + 'static {
    /// The output, and what [`Operator::backward`] needs if it is to be kept.
    fn forward(&self, inputs: [Input<'_>; N], keep: Keep) -> Output;
    /// Gradients of the inputs from the gradient of the output.
    fn backward(&self, inputs: [Input<'_>; N], saved: &[Buffer], grad: Vec<f32>) -> [Vec<f32>; N];
}

/// A tensor as an operator sees it: contiguous, row-major.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) values: &'a [f32],
    /// Length of the last axis.
    pub(super) width: usize,
}

/// Whether backward will follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Saved,
    Nothing,
}

/// Result of [`Operator::forward`].
pub(super) struct Output {
    pub(super) values: Vec<f32>,
    pub(super) shape: Shape,
    /// One buffer per chunk; empty when nothing is kept.
    pub(super) saved: Vec<Buffer>,
}

/// The entry points by number of tensors; burn's macro knows no arrays of tensors.
#[backend_extension(Autodiff, Flex)]
pub(super) trait Fused: Backend {
    fn fused_1<O: Operator<1>>(a: FloatTensor<Self>, operator: O) -> FloatTensor<Self>;
    fn fused_2<O: Operator<2>>(a: FloatTensor<Self>, b: FloatTensor<Self>, operator: O) -> FloatTensor<Self>;
    fn fused_4<O: Operator<4>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        operator: O,
    ) -> FloatTensor<Self>;
    fn fused_5<O: Operator<5>>(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        e: FloatTensor<Self>,
        operator: O,
    ) -> FloatTensor<Self>;
}

/// A backend that runs operators.
pub(super) trait Runs: Backend {
    fn forward<const N: usize>(
        operator: &impl Operator<N>,
        inputs: &[FloatTensor<Self>; N],
        keep: Keep,
    ) -> (FloatTensor<Self>, Vec<Buffer>);
    fn backward<const N: usize>(
        operator: &impl Operator<N>,
        inputs: &[FloatTensor<Self>; N],
        saved: &[Buffer],
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; N];
}

/// One entry point for any number of tensors.
trait RunsArrays: Backend {
    fn run<O: Operator<N>, const N: usize>(inputs: [FloatTensor<Self>; N], operator: O) -> FloatTensor<Self>;
}

/// Implements [`Fused`] by [`RunsArrays`].
macro_rules! by_arity {
    () => {
        fn fused_1<O: Operator<1>>(a: FloatTensor<Self>, operator: O) -> FloatTensor<Self> {
            Self::run([a], operator)
        }
        fn fused_2<O: Operator<2>>(
            a: FloatTensor<Self>,
            b: FloatTensor<Self>,
            operator: O,
        ) -> FloatTensor<Self> {
            Self::run([a, b], operator)
        }
        fn fused_4<O: Operator<4>>(
            a: FloatTensor<Self>,
            b: FloatTensor<Self>,
            c: FloatTensor<Self>,
            d: FloatTensor<Self>,
            operator: O,
        ) -> FloatTensor<Self> {
            Self::run([a, b, c, d], operator)
        }
        fn fused_5<O: Operator<5>>(
            a: FloatTensor<Self>,
            b: FloatTensor<Self>,
            c: FloatTensor<Self>,
            d: FloatTensor<Self>,
            e: FloatTensor<Self>,
            operator: O,
        ) -> FloatTensor<Self> {
            Self::run([a, b, c, d, e], operator)
        }
    };
}

impl Fused for Flex {
    by_arity!();
}

impl<B: Runs, C: CheckpointStrategy> Fused for Autodiff<B, C> {
    by_arity!();
}

impl RunsArrays for Flex {
    fn run<O: Operator<N>, const N: usize>(inputs: [FlexTensor; N], operator: O) -> FlexTensor {
        Self::forward(&operator, &inputs, Keep::Nothing).0
    }
}

impl<B: Runs, C: CheckpointStrategy> RunsArrays for Autodiff<B, C> {
    fn run<O: Operator<N>, const N: usize>(inputs: [FloatTensor<Self>; N], operator: O) -> FloatTensor<Self> {
        let mut nodes = Vec::with_capacity(N);
        let inputs = inputs.map(|input| {
            let (input, node) = input.into_parts();
            nodes.push(node);
            input
        });
        let Ok(nodes) = nodes.try_into() else { unreachable!("one node per input") };
        let node = Node(operator.clone());
        match Backward::<B, N>::prepare::<C>(node, nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let (out, saved) = B::forward(&operator, &inputs, Keep::Saved);
                prepared.finish(State { inputs, saved: Arc::new(saved) }, out)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::forward(&operator, &inputs, Keep::Nothing).0),
        }
    }
}

/// The autodiff node of an operator.
#[derive(Debug)]
struct Node<O>(O);

#[derive(Clone, Debug)]
struct State<T, const N: usize> {
    inputs: [T; N],
    saved: Arc<Vec<Buffer>>,
}

impl<B: Runs, O: Operator<N>, const N: usize> Backward<B, N> for Node<O> {
    type State = State<FloatTensor<B>, N>;
    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let State { inputs, saved } = ops.state;
        let of_inputs = B::backward(&self.0, &inputs, &saved, grad);
        for (node, grad) in ops.parents.into_iter().zip(of_inputs) {
            if let Some(node) = node {
                grads.register::<B>(node.id, grad);
            }
        }
    }
}

impl Runs for Flex {
    fn forward<const N: usize>(
        operator: &impl Operator<N>,
        inputs: &[FlexTensor; N],
        keep: Keep,
    ) -> (FlexTensor, Vec<Buffer>) {
        let inputs = inputs.each_ref().map(contiguous);
        let Output { values, shape, saved } = operator.forward(inputs.each_ref().map(view), keep);
        (tensor(values, shape), saved)
    }
    fn backward<const N: usize>(
        operator: &impl Operator<N>,
        inputs: &[FlexTensor; N],
        saved: &[Buffer],
        grad: FlexTensor,
    ) -> [FlexTensor; N] {
        let inputs = inputs.each_ref().map(contiguous);
        // Nobody else holds a gradient that has arrived, so its memory is taken over.
        let grad = if is_plain(&grad) { grad } else { grad.to_contiguous() };
        let grad = grad.into_data().try_into_vec::<f32>().expect("gradients are f32");
        let mut grads = operator.backward(inputs.each_ref().map(view), saved, grad).into_iter();
        inputs.map(|input| {
            tensor(grads.next().expect("one gradient per input"), input.layout().shape().clone())
        })
    }
}

fn tensor(values: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape), DType::F32)
}

fn contiguous(x: &FlexTensor) -> FlexTensor {
    if is_plain(x) { x.clone() } else { x.to_contiguous() }
}

fn is_plain(x: &FlexTensor) -> bool {
    x.is_contiguous() && x.layout().start_offset() == 0
}

fn view(x: &FlexTensor) -> Input<'_> {
    let width = x.layout().shape().iter().last().copied().unwrap_or(1);
    Input { values: &x.storage::<f32>()[..x.layout().num_elements()], width }
}
