#include "longgen/import/gguf_rope.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "longgen/base/check.h"
#include "longgen/checkpoint/dequantize.h"
#include "longgen/checkpoint/tensor_entry.h"
#include "longgen/model/config_limits.h"
#include "longgen/model/rope_frequencies.h"

namespace longgen {
namespace {

using namespace config_limits;

/// The keys of one kind of scaling: "llama.rope.scaling.".
class ScalingKeys {
 public:
  ScalingKeys(const GgufFile& file, std::string prefix) : file_(file), prefix_(std::move(prefix)) {}

  double number(const char* key, double low, double high) const {
    return file_.number(prefix_ + key, low, high);
  }
  double number(const char* key, double low, double high, double fallback) const {
    return file_.number(prefix_ + key, low, high, fallback);
  }
  /// Refuses a key that has another value than the one that changes nothing.
  void expect(const char* key, double value, const char* because) const {
    const double found = number(key, -1e6, 1e6, value);
    LG_CHECK(found == value, file_.where(prefix_ + key), ": expected ", value, ", found ", found,
             ". ", because);
  }

 private:
  const GgufFile& file_;
  std::string prefix_;
};

/// Gives yarn's factor of cos and sin. The converter of llama.cpp writes
/// Hugging Face's attention_factor as yarn_attn_factor; attn_factor is what
/// llama.cpp multiplies yarn's own factor with.
double yarn_attention(const ScalingKeys& keys, double factor) {
  const double own = keys.number("yarn_attn_factor", 1e-3, 1e3, yarn_attention_factor(factor));
  return own * keys.number("attn_factor", 1e-3, 1e3, 1.0);
}

void read_yarn(const GgufFile& file, const std::string& prefix, int64_t context, RopeConfig& rope) {
  const ScalingKeys keys(file, prefix);
  rope.scaling = RopeConfig::Scaling::yarn;
  rope.factor = keys.number("factor", 1, kMaxRopeFactor);
  rope.original_context = file.integer(prefix + "original_context_length", 1, kMaxContext, context);
  rope.beta_fast = keys.number("yarn_beta_fast", 1e-3, 1e6, rope.beta_fast);
  rope.beta_slow = keys.number("yarn_beta_slow", 1e-3, 1e6, rope.beta_slow);
  rope.attention_factor = yarn_attention(keys, rope.factor);
  keys.expect("yarn_ext_factor", 1, "longgen has no other mix of slow and fast frequencies.");
  keys.expect("yarn_log_multiplier", 0,
              "longgen does not know what it means in another family than DeepSeek's.");
}

/// Reads linear scaling, for which older files have rope.scale_linear and no type and factor.
void read_linear(const GgufFile& file, const std::string& prefix, RopeConfig& rope) {
  const double old = file.number(prefix + "scale_linear", 1, kMaxRopeFactor, 1.0);
  rope.factor = file.number(prefix + "scaling.factor", 1, kMaxRopeFactor, old);
  if (rope.factor > 1) rope.scaling = RopeConfig::Scaling::linear;
}

/// Reads the scaling's keys; `prefix` is "llama.rope.".
void read_scaling(const GgufFile& file, const std::string& prefix, int64_t context,
                  RopeConfig& rope) {
  const ScalingKeys keys(file, prefix + "scaling.");
  const std::string key = prefix + "scaling.type";
  const std::string type = file.string(key, "linear");  // a factor alone is linear
  if (type == "yarn") return read_yarn(file, prefix + "scaling.", context, rope);
  LG_CHECK(type == "none" || type == "linear", file.where(key),
           ": expected none, linear or yarn, found \"", printable(type), "\".");
  keys.expect("attn_factor", 1, "longgen scales cos and sin with yarn alone.");
  if (type == "linear") read_linear(file, prefix, rope);
}

/// Reads Llama 3.1's scaling, which stands in GGUF files as one divisor for each frequency. Its
/// four numbers are found again: the largest divisor is `factor`, the others are those of every
/// published model.
void read_factors(const GgufFile& file, const GgufFile::Tensor& tensor, int64_t head_size,
                  RopeConfig& rope) {
  LG_CHECK(rope.scaling == RopeConfig::Scaling::none, file.source(), ": tensor ", kGgufRopeFactors,
           " and rope.scaling in the metadata: expected one of them, found both.");
  LG_CHECK(tensor.type == GgmlType::f32 && tensor.num_elements() == head_size / 2, file.source(),
           ": tensor ", kGgufRopeFactors, ": expected ", head_size / 2,
           " numbers of type F32, found ", tensor.num_elements(), " of type ",
           ggml_type_name(tensor.type), ".");
  std::vector<float> factors(tensor.num_elements());
  dequantize(tensor.type, tensor.bytes, factors);
  RopeConfig scaled = rope;
  scaled.scaling = RopeConfig::Scaling::llama3;
  scaled.factor = *std::max_element(factors.begin(), factors.end());
  scaled.original_context = 8192;
  const auto plain = rope_frequencies(rope, head_size);
  const auto found = rope_frequencies(scaled, head_size);
  for (size_t i = 0; i < factors.size(); ++i) {
    const double expected = plain[i] / found[i];
    LG_CHECK(std::abs(factors[i] - expected) <= 1e-4 * std::abs(expected), file.source(),
             ": tensor ", kGgufRopeFactors, ": entry ", i, ": expected ", expected,
             " (llama3 scaling of factor ", scaled.factor, ", original context 8192), found ",
             factors[i], ". longgen cannot run other frequency factors.");
  }
  rope = scaled;
}

}  // namespace

void read_gguf_ropes(const GgufFile& file, const Family& family, ModelConfig& config) {
  const std::string prefix = std::string(family.gguf_architecture) + ".rope.";
  RopeConfig& rope = config.rope;
  const auto base = [&](const char* key, double fallback) {
    return file.number(prefix + key, kMinRopeBase, kMaxRopeBase, fallback);
  };
  rope.base = base("freq_base", family.default_rope_base);
  const std::string rotated = prefix + "dimension_count";
  const int64_t dimensions = file.integer(rotated, 1, kMaxContext, config.head_size);
  LG_CHECK(dimensions == config.head_size, file.where(rotated), ": expected the head size, ",
           config.head_size, ", found ", dimensions, ". longgen rotates whole heads.");
  read_scaling(file, prefix, config.context, rope);
  if (const auto* factors = file.find(kGgufRopeFactors)) {
    read_factors(file, *factors, config.head_size, rope);
  }
  if (family.has_window_rope) config.window_rope = RopeConfig{.base = base("freq_base_swa", 1e4)};
}

}  // namespace longgen
