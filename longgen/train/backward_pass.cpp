#include "longgen/train/backward_pass.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/add.h>
#include <ATen/ops/full_like.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/variable.h>

#include "longgen/ops/gpu_ops.h"
#include "longgen/ops/gradients.h"
#include "longgen/train/training_context.h"

namespace longgen {
namespace {

/// An edge is the place where the gradient of a tensor enters the graph. The tensor itself is not
/// needed for that.
using torch::autograd::Edge;

/// The sum x + attention(x) with its norm, and what the backward pass of the norm reads.
struct Normed {
  AddedNorm result;
  at::Tensor inverse_rms;
};

/// The forward pass keeps this of a layer: its input, undefined where it is offloaded; with
/// Recomputation::none also the graph of the attention, what follows it, and what the feed-forward
/// network keeps.
struct LayerRun {
  at::Tensor input_TE;
  Edge attention;
  Normed normed;
  std::vector<at::Tensor> gate_up;
};

at::Tensor leaf(const at::Tensor& x) { return x.detach().requires_grad_(true); }

void add_gradients(const std::vector<at::Tensor>& slots, const std::vector<at::Tensor>& gradients,
                   size_t first) {
  for (size_t i = 0; i < slots.size(); ++i) {
    at::Tensor slot = slots[i];
    if (gradients[first + i].defined()) slot.add_(gradients[first + i]);
  }
}

/// The tensors of a layer that its attention and the norm before it read.
std::vector<at::Tensor> attention_tensors(const LayerWeights& layer) {
  return layer.tensors(TensorRole::kAttentionNorm, TensorRole::kOutput);
}

/// Does what torch::autograd::grad() does, but begins at an edge instead of a tensor.
std::vector<at::Tensor> gradients_of(const std::vector<at::Tensor>& leaves, const Edge& root,
                                     const at::Tensor& grad) {
  torch::autograd::edge_list ends;
  for (const at::Tensor& leaf : leaves) ends.push_back(torch::autograd::impl::gradient_edge(leaf));
  return torch::autograd::Engine::get_default_engine().execute({root}, {grad}, /*keep_graph=*/false,
                                                               /*create_graph=*/false,
                                                               /*accumulate_grad=*/false, ends);
}

/// Adds each row of grad to the row of its token in sum (V, E), in fp32. On a GPU ATen's
/// index_add_() would add with atomics, in another order in every run.
void add_embedding_gradient(const at::Tensor& grad_TE, const at::Tensor& tokens_T,
                            at::Tensor& sum_VE) {
  at::Tensor wide_VE = sum_VE.to(at::kFloat);  // itself, where it is fp32
  if (sum_VE.is_cuda() && gpu::has_kernels()) {
    gpu::ops().embedding_backward(grad_TE, tokens_T, wide_VE);
  } else {
    wide_VE.index_add_(0, tokens_T, grad_TE.to(at::kFloat));
  }
  if (!wide_VE.is_same(sum_VE)) sum_VE.copy_(wide_VE);
}

class Pass {
 public:
  Pass(const Decoder& decoder, const MicroBatch& batch, const BackwardOptions& options,
       ModelWeights& gradients)
      : decoder_(decoder),
        tokens_T_(batch.tokens_T.to(decoder.device())),
        targets_T_(batch.targets_T.to(decoder.device())),
        options_(options),
        gradients_(gradients),
        context_(batch.tokens_T.size(0), batch.doc_starts, decoder.config().num_layers,
                 options.recompute == Recomputation::layers_keep_attention),
        rope_(decoder.rope(context_)) {}

  double run() {
    at::Tensor grad_TE;
    const double loss = loss_and_gradient(forward_layers(), grad_TE);
    for (int64_t i = last_layer(); i >= 0; --i) {
      grad_TE = layer(i, std::move(grad_TE));
      report(backward_work());
    }
    add_embedding_gradient(grad_TE, tokens_T_, gradients_.embedding_VE);
    return loss;
  }

 private:
  int64_t last_layer() const { return decoder_.config().num_layers - 1; }

  at::Tensor forward_layers() {
    at::Tensor x;
    {
      const at::NoGradGuard no_grad;
      x = decoder_.embed(tokens_T_);
    }
    for (int64_t i = 0; i <= last_layer(); ++i) {
      x = forward_layer(i, x);
      report(1);
    }
    return x;
  }

  /// Of a layer, where its forward pass is 1: the gradients of inputs and of weights, and the
  /// forward pass again where it is recomputed.
  double backward_work() const { return options_.recompute == Recomputation::none ? 2 : 3; }

  void report(double work) {
    done_work_ += work;
    const double total = (1 + backward_work()) * static_cast<double>(last_layer() + 1);
    if (options_.on_progress) options_.on_progress(done_work_ / total);
  }

  at::Tensor forward_layer(int64_t index, const at::Tensor& x) {
    const bool keeps_all = options_.recompute == Recomputation::none;
    const bool offloads = options_.offload != nullptr && index < last_layer();
    if (offloads) options_.offload->store(index, x);
    LayerRun run;
    if (!offloads) run.input_TE = keeps_all ? leaf(x) : x;
    Normed normed =
        attention(index, offloads ? x : run.input_TE, keeps_all ? &run.attention : nullptr);
    if (keeps_all) run.normed = normed;
    const at::NoGradGuard no_grad;
    const at::Tensor delta =
        feed_forward(std::move(normed.result.normed), decoder_.feed_forward_weights(index),
                     keeps_all ? &run.gate_up : nullptr);
    runs_.push_back(std::move(run));
    return at::add(normed.result.sum, delta);
  }

  /// Computes x + attention(x) and its norm. Where `graph` is given, the graph of attention(x) is
  /// built and the edge into it is stored there. The norm is done by hand, so that nothing of the
  /// graph but that edge has to stay.
  Normed attention(int64_t index, const at::Tensor& x, Edge* graph) {
    at::Tensor delta;
    {
      const at::AutoGradMode mode(graph != nullptr);
      delta = decoder_.attention(index, x, rope_, context_);
    }
    if (graph != nullptr) *graph = torch::autograd::impl::gradient_edge(delta);
    const at::NoGradGuard no_grad;
    Normed normed;
    normed.result =
        add_rms_norm_forward(x.detach(), delta.detach(),
                             decoder_.weights().layers[index].norm(TensorRole::kFeedForwardNorm),
                             decoder_.config().norm_eps, &normed.inverse_rms);
    return normed;
  }

  double loss_and_gradient(const at::Tensor& last_TE, at::Tensor& grad_TE) {
    const at::AutoGradMode mode(true);
    const at::Tensor x = leaf(last_TE);
    const ModelWeights& weights = decoder_.weights();
    const at::Tensor loss = linear_cross_entropy(decoder_.final_norm(x), weights.head_VE,
                                                 targets_T_, options_.loss_chunk_rows);
    const auto found = torch::autograd::grad({loss}, {x, weights.final_norm_E, weights.head_VE},
                                             {at::full_like(loss, options_.loss_scale)});
    grad_TE = found[0];
    add_gradients({gradients_.final_norm_E, gradients_.head_VE}, found, 1);
    return loss.item<double>();
  }

  /// Gives the input of a layer that is computed again. Where inputs are offloaded, that of the
  /// layer before it begins to come back meanwhile.
  at::Tensor input(int64_t index, at::Tensor kept_TE) {
    if (options_.offload == nullptr) return kept_TE;
    if (!kept_TE.defined()) kept_TE = options_.offload->take(index);
    if (index > 0) options_.offload->fetch(index - 1);
    return kept_TE;
  }

  /// Gives the gradient of a layer's input, from that of its output. All but the attention is done
  /// by hand: tensors go as soon as they are read, the feed-forward network is computed in chunks,
  /// and its output is not computed again, because nothing needs it.
  at::Tensor layer(int64_t index, at::Tensor grad_TE) {
    LayerRun run = std::move(runs_[index]);
    runs_[index] = {};
    if (!run.attention.is_valid()) {
      run.input_TE = leaf(input(index, std::move(run.input_TE)));
      run.normed = attention(index, run.input_TE, &run.attention);
      context_.forget(index);
    }
    const at::Tensor grad_sum_TE = sum_gradient(index, std::move(grad_TE), run);
    std::vector<at::Tensor> leaves = {run.input_TE};
    for (const at::Tensor& tensor : attention_tensors(decoder_.weights().layers[index])) {
      leaves.push_back(tensor);
    }
    const auto found = gradients_of(leaves, run.attention, grad_sum_TE);
    add_gradients(attention_tensors(gradients_.layers[index]), found, 1);
    return grad_sum_TE.add_(found[0]);
  }

  /// Gives the gradient of x + attention(x), from that of the layer's output, and adds those of the
  /// weights that stand between the two.
  at::Tensor sum_gradient(int64_t index, at::Tensor grad_TE, LayerRun& run) {
    const at::NoGradGuard no_grad;
    const Normed normed = std::move(run.normed);
    run.normed = {};
    const LayerWeights& sums = gradients_.layers[index];
    at::Tensor grad_normed_TE;
    {
      const FeedForwardGradients found = feed_forward_backward(
          grad_TE, normed.result.normed, decoder_.feed_forward_weights(index), run.gate_up);
      run.gate_up.clear();
      grad_normed_TE = found.x_TE;
      const FeedForward& w = found.weights;
      std::vector<at::Tensor> of_weights;
      for (const at::Tensor& gradient : {w.gate_up, w.gate_up_bias, w.down, w.down_bias}) {
        if (gradient.defined()) of_weights.push_back(gradient);
      }
      add_gradients(sums.tensors(TensorRole::kGateUp, TensorRole::kDown), of_weights, 0);
    }
    const RmsNormGradients found =
        add_rms_norm_backward({grad_TE, grad_normed_TE}, normed.result.sum,
                              decoder_.weights().layers[index].norm(TensorRole::kFeedForwardNorm),
                              normed.inverse_rms, /*need_x=*/true, /*need_weight=*/true);
    add_gradients({sums.norm(TensorRole::kFeedForwardNorm)}, {found.weight_I}, 0);
    return found.x;
  }

  const Decoder& decoder_;
  at::Tensor tokens_T_, targets_T_;
  const BackwardOptions& options_;
  ModelWeights& gradients_;
  TrainingContext context_;
  RopeTable rope_;
  std::vector<LayerRun> runs_;
  double done_work_ = 0;
};

}  // namespace

double backward_pass(const Decoder& decoder, const MicroBatch& batch,
                     const BackwardOptions& options, ModelWeights& gradients) {
  return Pass(decoder, batch, options, gradients).run();
}

double loss_of(const Decoder& decoder, const MicroBatch& batch, int64_t loss_chunk_rows) {
  const at::NoGradGuard no_grad;
  BatchContext context(batch.tokens_T.size(0), batch.doc_starts);
  const at::Tensor hidden_TE = decoder.forward(batch.tokens_T, context);
  return linear_cross_entropy(hidden_TE, decoder.weights().head_VE,
                              batch.targets_T.to(decoder.device()), loss_chunk_rows)
      .item<double>();
}

void require_gradients(const ModelWeights& weights) {
  for (const NamedTensor& parameter : weights.parameters()) parameter.tensor.requires_grad_(true);
}

}  // namespace longgen
