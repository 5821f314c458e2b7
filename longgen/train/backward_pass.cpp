#include "longgen/train/backward_pass.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

#include "longgen/ops/gpu_ops.h"
#include "longgen/ops/gradients.h"
#include "longgen/train/training_context.h"

namespace longgen {
namespace {

/// The forward pass keeps this of a layer: its input, undefined where it is offloaded; with
/// Recomputation::none what the backward pass reads instead.
struct LayerRun {
  at::Tensor input_TE;
  AttentionRecord attention;
  FeedForwardRecord feed_forward;
};

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

MicroBatch on_device(const MicroBatch& batch, at::Device device) {
  MicroBatch moved = {batch.tokens_T.to(device), batch.targets_T.to(device), batch.doc_starts};
  if (batch.weights_T.defined()) moved.weights_T = batch.weights_T.to(device);
  return moved;
}

class Pass {
 public:
  Pass(const Decoder& decoder, const MicroBatch& batch, const BackwardOptions& options,
       ModelWeights& gradients)
      : decoder_(decoder),
        batch_(on_device(batch, decoder.device())),
        options_(options),
        gradients_(gradients),
        context_(batch.tokens_T.size(0), batch.doc_starts, decoder.config().num_layers,
                 options.recompute == Recomputation::layers_keep_attention),
        ropes_(decoder.ropes(context_)) {}

  LossSums run() {
    at::Tensor grad_TE;
    const LossSums sums = loss_and_gradient(forward_layers(), grad_TE);
    for (int64_t i = last_layer(); i >= 0; --i) {
      grad_TE = backward_layer(i, std::move(grad_TE));
      report(backward_work());
    }
    add_embedding(decoder_.embed_backward(grad_TE));
    return sums;
  }

 private:
  int64_t last_layer() const { return decoder_.config().num_layers - 1; }

  at::Tensor forward_layers() {
    at::Tensor x;
    {
      const at::NoGradGuard no_grad;
      x = decoder_.embed(batch_.tokens_T);
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
    const double total =
        (1 + backward_work()) * static_cast<double>(last_layer() + 1) +
        static_cast<double>(options_.objective.num_extra_layers(decoder_.config()));
    if (options_.on_progress) options_.on_progress(done_work_ / total);
  }

  at::Tensor forward_layer(int64_t index, const at::Tensor& x_TE) {
    const bool keeps_all = options_.recompute == Recomputation::none;
    const bool offloads = options_.offload != nullptr && index < last_layer();
    if (offloads) options_.offload->store(index, x_TE);
    LayerRun run;
    if (keeps_all) {
      run_attention(index, x_TE, run);
    } else {
      const at::NoGradGuard no_grad;
      if (!offloads) run.input_TE = x_TE;
      run.feed_forward = layer(index).feed_forward.record(
          layer(index).attention.forward({x_TE, {}}, ropes_, context_));
    }
    const at::Tensor result_TE = layer(index).feed_forward.forward(run.feed_forward, keeps_all);
    if (!keeps_all) run.feed_forward = {};
    runs_.push_back(std::move(run));
    return result_TE;
  }

  /// Runs the attention of a layer for the backward pass.
  void run_attention(int64_t index, const at::Tensor& x_TE, LayerRun& run) {
    run.feed_forward = layer(index).feed_forward.record(
        layer(index).attention.forward(x_TE, ropes_, context_, run.attention));
  }

  LossSums loss_and_gradient(const at::Tensor& last_TE, at::Tensor& grad_TE) {
    const at::AutoGradMode mode(true);
    const at::Tensor x = last_TE.detach().requires_grad_(true);
    const ModelWeights& weights = decoder_.weights();
    const TokenLoss found = token_loss(options_.objective, decoder_, batch_, decoder_.final_norm(x),
                                       options_.loss_chunk_rows, [this](int64_t) {
                                         report(1);
                                         return true;
                                       });
    const auto grads =
        torch::autograd::grad({found.loss}, {x, weights.final_norm_E, weights.head_VE},
                              {at::full_like(found.loss, options_.loss_scale)});
    grad_TE = grads[0];
    add_gradient(grads[1], gradients_.final_norm_E);
    if (is_tied() && !options_.gradients_are_zero) {
      head_gradient_VE_ = grads[2].to(gradients_.head_VE.scalar_type());
    } else {
      add_gradient(grads[2], gradients_.head_VE);
    }
    return found.sums();
  }

  bool is_tied() const { return gradients_.head_VE.is_same(gradients_.embedding_VE); }

  /// Adds the gradient of the embedding, from that of its rows; where it is the head as well, the
  /// head's with it.
  void add_embedding(const at::Tensor& grad_TE) {
    if (options_.gradients_are_zero) {
      add_embedding_gradient(grad_TE, batch_.tokens_T, gradients_.embedding_VE);
      return;
    }
    at::Tensor sum_VE = std::move(head_gradient_VE_);
    if (!sum_VE.defined()) sum_VE = at::zeros_like(gradients_.embedding_VE);
    add_embedding_gradient(grad_TE, batch_.tokens_T, sum_VE);
    add_gradient(sum_VE, gradients_.embedding_VE);
  }

  /// Gives the input of a layer that is computed again. Where inputs are offloaded, that of the
  /// layer before it begins to come back meanwhile.
  at::Tensor input(int64_t index, at::Tensor kept_TE) {
    if (options_.offload == nullptr) return kept_TE;
    if (!kept_TE.defined()) kept_TE = options_.offload->take(index);
    if (index > 0) options_.offload->fetch(index - 1);
    return kept_TE;
  }

  /// Gives the gradient of a layer's input, from that of its output. Where its input alone was
  /// kept, the attention is computed again, and the feed-forward network as far as its gradients
  /// need it.
  at::Tensor backward_layer(int64_t index, at::Tensor grad_TE) {
    LayerRun run = std::move(runs_[index]);
    runs_[index] = {};
    if (!run.attention.result.is_valid()) {
      run_attention(index, input(index, std::move(run.input_TE)), run);
      context_.forget(index);
    }
    const LayerWeights& gradients = gradients_.layers[index];
    grad_TE = layer(index).feed_forward.backward(grad_TE, std::move(run.feed_forward), gradients);
    return layer(index).attention.backward(std::move(grad_TE), run.attention, gradients);
  }

  const DecoderLayer& layer(int64_t index) const { return decoder_.layers()[index]; }

  const Decoder& decoder_;
  const MicroBatch batch_;
  const BackwardOptions& options_;
  ModelWeights& gradients_;
  TrainingContext context_;
  RopeTables ropes_;
  std::vector<LayerRun> runs_;
  at::Tensor head_gradient_VE_;  // kept for add_embedding()
  double done_work_ = 0;
};

}  // namespace

LossSums backward_pass(const Decoder& decoder, const MicroBatch& batch,
                       const BackwardOptions& options, ModelWeights& gradients) {
  return Pass(decoder, batch, options, gradients).run();
}

LossSums loss_of(const Decoder& decoder, const MicroBatch& batch, int64_t loss_chunk_rows) {
  const at::NoGradGuard no_grad;
  BatchContext context(batch.tokens_T.size(0), batch.doc_starts);
  const MicroBatch there = on_device(batch, decoder.device());
  return token_loss({}, decoder, there, decoder.forward(there.tokens_T, context), loss_chunk_rows)
      .sums();
}

void require_gradients(const ModelWeights& weights) {
  for (const NamedTensor& parameter : weights.parameters()) parameter.tensor.requires_grad_(true);
}

}  // namespace longgen
