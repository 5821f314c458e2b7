// How autograd records the ops. One file: custom_function.h is slow to compile.
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/graph_task.h>

#include <optional>

#include "longgen/base/check.h"
#include "longgen/ops/gradients.h"
#include "longgen/ops/linear_loss.h"

namespace longgen {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// The backward passes are not recorded themselves; without this, second derivatives would come
/// out as zero.
void check_first_derivative(const char* op) {
  LG_CHECK(!at::GradMode::is_enabled(), "[", op,
           "] has no second derivative: call backward without create_graph, or use float64.");
}

void save(AutogradContext& context, double eps, bool adds_one) {
  context.saved_data["eps"] = eps;
  context.saved_data["adds_one"] = adds_one;
}
NormWeight saved_norm(AutogradContext& context, const at::Tensor& weight_I) {
  return {weight_I, context.saved_data["eps"].toDouble(), context.saved_data["adds_one"].toBool()};
}

class RmsNormFunction : public torch::autograd::Function<RmsNormFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const at::Tensor& weight_I, double eps, bool adds_one) {
    const at::AutoDispatchBelowADInplaceOrView below;
    at::Tensor inverse_rms;
    const at::Tensor out = rms_norm_forward(x, {weight_I, eps, adds_one}, &inverse_rms);
    context->save_for_backward({x, weight_I, inverse_rms});
    save(*context, eps, adds_one);
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    check_first_derivative("rms_norm");
    const variable_list saved = context->get_saved_variables();
    const RmsNormGradients result =
        rms_norm_backward(grads[0], saved[0], saved_norm(*context, saved[1]), saved[2],
                          context->needs_input_grad(0), context->needs_input_grad(1));
    return {result.x, result.weight_I, at::Tensor(), at::Tensor()};
  }
};

class AddRmsNormFunction : public torch::autograd::Function<AddRmsNormFunction> {
 public:
  static variable_list forward(AutogradContext* context, const at::Tensor& x,
                               const at::Tensor& delta, const at::Tensor& weight_I, double eps,
                               bool adds_one) {
    const at::AutoDispatchBelowADInplaceOrView below;
    at::Tensor inverse_rms;
    const AddedNorm result =
        add_rms_norm_forward(x, delta, {weight_I, eps, adds_one}, &inverse_rms);
    context->save_for_backward({result.sum, weight_I, inverse_rms});
    save(*context, eps, adds_one);
    return {result.sum, result.normed};
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    check_first_derivative("add_rms_norm");
    const variable_list saved = context->get_saved_variables();
    const bool need_x = context->needs_input_grad(0) || context->needs_input_grad(1);
    const RmsNormGradients result =
        add_rms_norm_backward({grads[0], grads[1]}, saved[0], saved_norm(*context, saved[1]),
                              saved[2], need_x, context->needs_input_grad(2));
    return {result.x, result.x, result.weight_I, at::Tensor(), at::Tensor()};
  }
};

class LinearFunction : public torch::autograd::Function<LinearFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias) {
    const at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({x, weight});
    context->saved_data["has_bias"] = bias.has_value();
    return linear_forward(x, weight, bias.value_or(at::Tensor()));
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    check_first_derivative("linear");
    const variable_list saved = context->get_saved_variables();
    const bool needs_bias =
        context->saved_data["has_bias"].toBool() && context->needs_input_grad(2);
    return {context->needs_input_grad(0) ? at::mm(grads[0], saved[1]) : at::Tensor(),
            context->needs_input_grad(1) ? at::mm(grads[0].t(), saved[0]) : at::Tensor(),
            needs_bias ? grads[0].sum(0) : at::Tensor()};
  }
};

class RopeFunction : public torch::autograd::Function<RopeFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x_THD,
                            const at::Tensor& cos_TR, const at::Tensor& sin_TR) {
    const at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({cos_TR, sin_TR});
    return rotate(x_THD, {cos_TR, sin_TR}, Rotation::forward);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    check_first_derivative("rope");
    const variable_list saved = context->get_saved_variables();
    // The transpose of a rotation is the rotation by the opposite angle.
    return {rotate(grads[0], {saved[0], saved[1]}, Rotation::backward), at::Tensor(), at::Tensor()};
  }
};

class SplitRotatedFunction : public torch::autograd::Function<SplitRotatedFunction> {
 public:
  /// v as a copy: otherwise it would keep the memory of q and k until the backward pass.
  static variable_list forward(AutogradContext* context, const at::Tensor& heads_TAD,
                               int64_t num_heads, const at::Tensor& cos_TR,
                               const at::Tensor& sin_TR) {
    const at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({cos_TR, sin_TR});
    const RotatedHeads result = split_rotated_forward(heads_TAD, num_heads, {cos_TR, sin_TR});
    return {result.q_THD, result.k_TKD, result.v_TKD.contiguous()};
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    check_first_derivative("rope");
    const variable_list saved = context->get_saved_variables();
    return {split_rotated_backward({grads[0], grads[1], grads[2]}, {saved[0], saved[1]}),
            at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

class GluFunction : public torch::autograd::Function<GluFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate_up_TC,
                            Activation activation) {
    const at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({gate_up_TC});
    context->saved_data["activation"] = static_cast<int64_t>(activation);
    return glu_forward(gate_up_TC, activation);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    check_first_derivative("glu");
    const auto activation = static_cast<Activation>(context->saved_data["activation"].toInt());
    return {glu_backward(grads[0], context->get_saved_variables()[0], activation), at::Tensor()};
  }
};

class LinearLossFunction : public torch::autograd::Function<LinearLossFunction> {
 public:
  /// Gives the loss and, apart, what it is made of, which has no gradients.
  static variable_list forward(AutogradContext* context, const at::Tensor& hidden_TE,
                               const at::Tensor& weight_VE, const LinearLoss& loss) {
    const at::AutoDispatchBelowADInplaceOrView below;
    const LinearLossResult result = linear_loss_forward(
        hidden_TE, weight_VE, loss, hidden_TE.requires_grad(), weight_VE.requires_grad());
    context->save_for_backward({result.grad_hidden_TE, result.grad_weight_VE});
    context->saved_data["type"] = hidden_TE.scalar_type();
    const bool distils = result.divergence.defined();
    context->saved_data["distils"] = distils;
    if (!distils) return {result.loss};
    context->mark_non_differentiable({result.cross_entropy, result.divergence});
    return {result.loss, result.cross_entropy, result.divergence};
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    check_first_derivative(context->saved_data["distils"].toBool() ? "linear_distillation"
                                                                   : "linear_cross_entropy");
    const variable_list saved = context->get_saved_variables();
    const at::ScalarType type = context->saved_data["type"].toScalarType();
    // The gradient of the weight can be gigabytes: without retain_graph it is nobody else's.
    const bool keep = torch::autograd::get_current_graph_task_keep_graph();
    const auto scaled = [&](size_t i) {
      if (!context->needs_input_grad(i)) return at::Tensor();
      at::Tensor grad = saved[i];
      return (keep ? grad.mul(grads[0]) : grad.mul_(grads[0])).to(type);
    };
    return {scaled(0), scaled(1), at::Tensor()};
  }
};

}  // namespace

at::Tensor differentiable_rms_norm(const at::Tensor& x, const NormWeight& norm) {
  return RmsNormFunction::apply(x, norm.weight_I, norm.eps, norm.adds_one);
}

AddedNorm differentiable_add_rms_norm(const at::Tensor& x, const at::Tensor& delta,
                                      const NormWeight& norm) {
  const variable_list results =
      AddRmsNormFunction::apply(x, delta, norm.weight_I, norm.eps, norm.adds_one);
  return {results[0], results[1]};
}

at::Tensor differentiable_linear(const at::Tensor& x, const at::Tensor& weight,
                                 const at::Tensor& bias) {
  return LinearFunction::apply(x, weight, bias.defined() ? std::optional(bias) : std::nullopt);
}

at::Tensor differentiable_rope(const at::Tensor& x_THD, const RopeTable& table) {
  return RopeFunction::apply(x_THD, table.cos_TR, table.sin_TR);
}

RotatedHeads differentiable_split_rotated(const at::Tensor& heads_TAD, int64_t num_heads,
                                          const RopeTable& table) {
  const variable_list results =
      SplitRotatedFunction::apply(heads_TAD, num_heads, table.cos_TR, table.sin_TR);
  return {results[0], results[1], results[2]};
}

at::Tensor differentiable_glu(const at::Tensor& gate_up_TC, Activation activation) {
  return GluFunction::apply(gate_up_TC, activation);
}

DistillationLoss differentiable_linear_loss(const at::Tensor& hidden_TE,
                                            const at::Tensor& weight_VE, const LinearLoss& loss) {
  const variable_list results = LinearLossFunction::apply(hidden_TE, weight_VE, loss);
  if (results.size() == 1) return {results[0], results[0].detach(), {}};
  return {results[0], results[1], results[2]};
}

}  // namespace longgen
