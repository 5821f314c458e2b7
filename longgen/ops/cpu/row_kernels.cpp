// Compiled once for each instruction set, with LONGGEN_ISA naming it and the matching compiler
// flags. No standard library templates in here: the linker could otherwise keep their AVX-512 copy
// for a machine that lacks it.
#include "longgen/ops/cpu/row_kernels.h"

#include "longgen/ops/cpu/products.h"
#include "longgen/ops/cpu/vectors.h"

namespace longgen::cpu::LONGGEN_ISA {
namespace {

/// Walks over StridedRows without a division for each row.
template <typename T>
class RowCursor {
 public:
  RowCursor(const StridedRows& rows, int64_t first)
      : rows_(rows),
        index_(first % rows.num_inner),
        outer_(static_cast<const T*>(rows.data) + first / rows.num_inner * rows.outer) {}

  const T* row() const { return outer_ + index_ * rows_.inner; }
  void next() {
    if (++index_ < rows_.num_inner) return;
    index_ = 0;
    outer_ += rows_.outer;
  }

 private:
  StridedRows rows_;
  int64_t index_;
  const T* outer_;
};

template <typename T>
void rms_norm_as(const RmsNorm& job, int64_t begin, int64_t end) {
  const int64_t n = job.width;
  const float added = job.added;
  const T* weight = static_cast<const T*>(job.weight);
  RowCursor<T> cursor(job.x, begin);
  for (int64_t r = begin; r < end; ++r, cursor.next()) {
    const T* x = cursor.row();
    const float squares = sum_over(n, [&](int64_t i, auto part) {
      const Floats v = load(x + i, part);
      return v * v;
    });
    const double mean = static_cast<double>(squares) / static_cast<double>(n);
    const auto inverse = static_cast<float>(1.0 / __builtin_sqrt(mean + job.eps));
    if (job.inverse_rms != nullptr) job.inverse_rms[r] = inverse;
    T* out = static_cast<T*>(job.out) + r * n;
    for_vectors(n, [&](int64_t i, auto part) {
      store(out + i, load(x + i, part) * inverse * (load(weight + i, part) + added), part);
    });
  }
}

/// With h = x / rms, m = mean(factor * grad * h): grad_x = (factor * grad - m h) / rms and
/// grad_weight = sum over rows of grad * h.
template <typename T>
void rms_norm_backward_as(const RmsNormBackward& job, int64_t begin, int64_t end) {
  const int64_t n = job.width;
  const float added = job.added;
  const T* weight = static_cast<const T*>(job.weight);
  RowCursor<T> x_cursor(job.x, begin), grad_cursor(job.grad, begin);
  for (int64_t r = begin; r < end; ++r, x_cursor.next(), grad_cursor.next()) {
    const T* x = x_cursor.row();
    const T* grad = grad_cursor.row();
    const float inverse = job.inverse_rms[r];
    if (job.grad_weight != nullptr) {
      for_vectors(n, [&](int64_t i, auto part) {
        const Floats term = load(grad + i, part) * (load(x + i, part) * inverse);
        store(job.grad_weight + i, load(job.grad_weight + i, part) + term, part);
      });
    }
    if (job.grad_x == nullptr) continue;
    const float dot = sum_over(n, [&](int64_t i, auto part) {
      return (load(weight + i, part) + added) * load(grad + i, part) *
             (load(x + i, part) * inverse);
    });
    const float mean = dot / static_cast<float>(n);
    T* grad_x = static_cast<T*>(job.grad_x) + r * n;
    for_vectors(n, [&](int64_t i, auto part) {
      const Floats h = load(x + i, part) * inverse;
      const Floats scaled = (load(weight + i, part) + added) * load(grad + i, part);
      store(grad_x + i, (scaled - mean * h) * inverse, part);
    });
  }
}

template <typename T>
void rope_as(const Rope& job, int64_t begin, int64_t end) {
  const int64_t half = job.half;
  for (int64_t t = begin; t < end; ++t) {
    const float* cos = job.cos + t * half;
    const float* sin = job.sin + t * half;
    for (int64_t h = 0; h < job.num_heads; ++h) {
      const T* x = static_cast<const T*>(job.x) + t * job.token_stride + h * job.head_stride;
      T* out = static_cast<T*>(job.out) + (t * job.num_heads + h) * 2 * half;
      for_vectors(half, [&](int64_t i, auto part) {
        const Floats first = load(x + i, part), second = load(x + half + i, part);
        const Floats c = load(cos + i, part), s = load(sin + i, part) * job.direction;
        store(out + i, first * c - second * s, part);
        store(out + half + i, second * c + first * s, part);
      });
    }
  }
}

inline Floats sigmoid(Floats x) { return 1.0f / (1.0f + exp(-x)); }

/// What the gradients of a gate g need: its activation, and y * (the activation's slope).
struct GateGradient {
  Floats value, scaled_slope;
};

struct Silu {
  static Floats value(Floats g) { return g / (1.0f + exp(-g)); }
  static GateGradient gradient(Floats g, Floats y) {
    const Floats s = sigmoid(g);
    return {g * s, y * s * (1.0f + g * (1.0f - s))};
  }
};

/// GELU in its tanh form, 0.5 g (1 + tanh(u)) = g sigmoid(2u) with u = sqrt(2 / pi) (g + 0.044715
/// g^3).
struct GeluTanh {
  static constexpr float kTwice = 1.5957691f;         // 2 sqrt(2 / pi)
  static constexpr float kTwiceCubic = 0.071354817f;  // kTwice * 0.044715
  static Floats twice_u(Floats g) { return g * (kTwice + kTwiceCubic * (g * g)); }

  static Floats value(Floats g) { return g / (1.0f + exp(-twice_u(g))); }
  static GateGradient gradient(Floats g, Floats y) {
    // Beyond 10 the sigmoid is 0 or 1 to within 2e-38, and beyond -10 its power would be infinite.
    const Floats low = g < all(-10.0f) ? all(-10.0f) : g;
    const Floats x = low > all(10.0f) ? all(10.0f) : low;
    const Floats power = exp(-twice_u(x));
    const Floats s = 1.0f / (1.0f + power);
    const Floats rest = power * s;  // 1 - s, which would have no digits left where s is near 1
    const Floats slope_of_twice_u = kTwice + 3.0f * kTwiceCubic * (x * x);
    return {low * s, y * s * (1.0f + x * rest * slope_of_twice_u)};
  }
};

template <typename Gate, typename T>
void glu_as(const Glu& job, int64_t begin, int64_t end) {
  const int64_t n = job.width;
  for (int64_t r = begin; r < end; ++r) {
    const T* gate = static_cast<const T*>(job.gate_up) + r * job.gate_up_stride;
    const T* up = gate + n;
    T* out = static_cast<T*>(job.out) + r * n;
    for_vectors(n, [&](int64_t i, auto part) {
      store(out + i, Gate::value(load(gate + i, part)) * load(up + i, part), part);
    });
  }
}

template <typename Gate, typename T>
void glu_backward_as(const GluBackward& job, int64_t begin, int64_t end) {
  const int64_t n = job.width;
  for (int64_t r = begin; r < end; ++r) {
    const T* gate = static_cast<const T*>(job.gate_up) + r * job.gate_up_stride;
    const T* up = gate + n;
    const T* grad = static_cast<const T*>(job.grad) + r * job.grad_stride;
    T* grad_gate = static_cast<T*>(job.grad_gate_up) + r * 2 * n;
    for_vectors(n, [&](int64_t i, auto part) {
      const Floats d = load(grad + i, part);
      const GateGradient gradient = Gate::gradient(load(gate + i, part), d * load(up + i, part));
      store(grad_gate + i, gradient.scaled_slope, part);
      store(grad_gate + n + i, d * gradient.value, part);
    });
  }
}

/// sum_over(), in blocks that are added in double: an fp32 sum over 100,000 classes would lose
/// digits of the loss.
template <typename Term>
double sum_in_blocks(int64_t n, const Term& term) {
  constexpr int64_t kBlock = 4096;
  double total = 0;
  for (int64_t first = 0; first < n; first += kBlock) {
    const int64_t count = n - first < kBlock ? n - first : kBlock;
    total += static_cast<double>(
        sum_over(count, [&](int64_t i, auto part) { return term(first + i, part); }));
  }
  return total;
}

inline float load_one(const float* from) { return *from; }
inline float load_one(const Bf16* from) {
  return bits_of<float>(static_cast<uint32_t>(*from) << 16);
}

/// What the softmax of a row divides by: the sum of e^(x - largest).
struct ExpSum {
  float largest;
  double sum;
  double log_of_sum() const { return __builtin_log(sum); }
  float scale() const { return static_cast<float>(1.0 / sum); }
};

template <typename T>
ExpSum exp_sum(const T* x, int64_t n) {
  const float low = -__builtin_inff();
  const float max = largest(reduce(
      n, all(low), [&](int64_t i, auto part) { return load(x + i, part, low); },
      [](Floats a, Floats b) { return larger(a, b); }));
  return {max, sum_in_blocks(n, [&](int64_t i, auto part) {
            return exp(load(x + i, part, -__builtin_inff()) - max);
          })};
}

template <typename T>
void cross_entropy_as(const CrossEntropy& job, int64_t begin, int64_t end) {
  const int64_t n = job.num_classes;
  for (int64_t r = begin; r < end; ++r) {
    T* x = static_cast<T*>(job.logits) + r * n;
    const int64_t target = job.targets[r];
    if (target < 0) {
      job.losses[r] = 0;
      if (job.make_gradient) std::memset(x, 0, n * sizeof(T));
      continue;
    }
    const ExpSum all_of_row = exp_sum(x, n);
    const float max = all_of_row.largest, target_logit = load_one(x + target);
    job.losses[r] = all_of_row.log_of_sum() - (static_cast<double>(target_logit) - max);
    if (!job.make_gradient) continue;
    const float scale = all_of_row.scale();
    for_vectors(
        n, [&](int64_t i, auto part) { store(x + i, exp(load(x + i, part) - max) * scale, part); });
    // This is p - 1 without the rounding of p to bf16 between.
    const Floats at_target = exp(all(target_logit - max)) * scale - 1.0f;
    store(x + target, at_target, Part{1});
  }
}

/// With p of the student and q of the teacher: KL = sum of q (log q - log p), and the gradient
/// p - share q - (1 - share) at the target is exactly 0 where both are one and share is 1.
template <typename T>
void distillation_as(const Distillation& job, int64_t begin, int64_t end) {
  const int64_t n = job.num_classes;
  for (int64_t r = begin; r < end; ++r) {
    T* x = static_cast<T*>(job.logits) + r * n;
    const T* y = static_cast<const T*>(job.teacher_logits) + r * n;
    const int64_t target = job.targets[r];
    if (target < 0) {
      job.losses[r] = job.divergences[r] = 0;
      if (job.make_gradient) std::memset(x, 0, n * sizeof(T));
      continue;
    }
    const ExpSum student = exp_sum(x, n), teacher = exp_sum(y, n);
    const float target_logit = load_one(x + target);
    job.losses[r] = student.log_of_sum() - (static_cast<double>(target_logit) - student.largest);
    const auto shift = static_cast<float>((student.log_of_sum() - teacher.log_of_sum()) +
                                          (static_cast<double>(student.largest) - teacher.largest));
    const double sum = sum_in_blocks(n, [&](int64_t i, auto part) {
      const Floats v = load(y + i, part, -__builtin_inff());
      // Beyond the row, and where q is 0, log q is minus infinity and counts nothing.
      const Floats q = exp(v - teacher.largest), gain = v - load(x + i, part) + shift;
      return q > 0.0f ? q * gain : Floats{};
    });
    job.divergences[r] = sum / teacher.sum;
    if (!job.make_gradient) continue;
    const float scale = student.scale(), teacher_scale = teacher.scale();
    const auto gradient = [&](Floats v, Floats w) {
      const Floats p = rounded(exp(v - student.largest) * scale);
      const Floats q = rounded(exp(w - teacher.largest) * teacher_scale);
      return p - job.share * q;
    };
    const float teacher_logit = load_one(y + target);
    for_vectors(n, [&](int64_t i, auto part) {
      store(x + i, gradient(load(x + i, part), load(y + i, part)), part);
    });
    const Floats at_target = gradient(all(target_logit), all(teacher_logit)) - (1.0f - job.share);
    store(x + target, at_target, Part{1});
  }
}

void exp_array(int64_t count, const float* from, float* to) {
  for_vectors(count, [&](int64_t i, auto part) { store(to + i, exp(load(from + i, part)), part); });
}

template <typename Gate>
void glu(const Glu& job, int64_t begin, int64_t end) {
  job.is_bf16 ? glu_as<Gate, Bf16>(job, begin, end) : glu_as<Gate, float>(job, begin, end);
}
template <typename Gate>
void glu_backward(const GluBackward& job, int64_t begin, int64_t end) {
  job.is_bf16 ? glu_backward_as<Gate, Bf16>(job, begin, end)
              : glu_backward_as<Gate, float>(job, begin, end);
}

#define LONGGEN_BY_DTYPE(name, Job)                                                     \
  void name(const Job& job, int64_t begin, int64_t end) {                               \
    job.is_bf16 ? name##_as<Bf16>(job, begin, end) : name##_as<float>(job, begin, end); \
  }
LONGGEN_BY_DTYPE(rms_norm, RmsNorm)
LONGGEN_BY_DTYPE(rms_norm_backward, RmsNormBackward)
LONGGEN_BY_DTYPE(rope, Rope)
LONGGEN_BY_DTYPE(cross_entropy, CrossEntropy)
LONGGEN_BY_DTYPE(distillation, Distillation)
LONGGEN_BY_DTYPE(linear_rows, LinearRows)
LONGGEN_BY_DTYPE(linear, Linear)
#undef LONGGEN_BY_DTYPE

}  // namespace

extern const RowKernels kRowKernels;
const RowKernels kRowKernels = {
    .instruction_set = LONGGEN_ISA_NAME,
    .rms_norm = rms_norm,
    .rms_norm_backward = rms_norm_backward,
    .rope = rope,
    .swiglu = glu<Silu>,
    .swiglu_backward = glu_backward<Silu>,
    .geglu = glu<GeluTanh>,
    .geglu_backward = glu_backward<GeluTanh>,
    .cross_entropy = cross_entropy,
    .distillation = distillation,
    .linear_rows = linear_rows,
    .linear = linear,
    .exp = exp_array,
};

}  // namespace longgen::cpu::LONGGEN_ISA
