#include "longgen/plan/plan.h"

#include <algorithm>
#include <functional>

#include "longgen/base/check.h"
#include "longgen/base/units.h"

namespace longgen {
namespace {

constexpr int64_t kMaxSequences = 1 << 20;
constexpr int64_t kMaxChunk = 1 << 30;

void check_range(const char* name, int64_t value, int64_t low, int64_t high) {
  LG_CHECK(value >= low && value <= high, "[plan] ", name, ": expected ", format_count(low), " to ",
           format_count(high), ", found ", format_count(value), ".");
}

void check_share(const char* name, double value) {
  LG_CHECK(value > 0 && value <= 1, "[plan] efficiency ", name,
           ": expected a share above 0 and at most 1, found ", value, ".");
}

void check_model(const ModelConfig& config) {
  for (const auto& [name, value] : {std::pair{"num_layers", config.num_layers},
                                    {"width", config.width},
                                    {"ffn_width", config.ffn_width},
                                    {"vocab_size", config.vocab_size},
                                    {"num_heads", config.num_heads},
                                    {"num_kv_heads", config.num_kv_heads},
                                    {"head_size", config.head_size}}) {
    LG_CHECK(value > 0, "[plan] model: ", name, " must be positive, found ", value, ".");
  }
  LG_CHECK(config.num_heads % config.num_kv_heads == 0, "[plan] model: num_heads ",
           config.num_heads, " is not a multiple of num_kv_heads ", config.num_kv_heads, ".");
}

void check_request(const PlanRequest& request) {
  check_model(request.config);
  LG_CHECK(request.layers.num_layers() == request.config.num_layers, "[plan] layers: expected ",
           request.config.num_layers, ", those of the model, found ", request.layers.num_layers(),
           ".");
  check_range("context", request.context, 1, kMaxPlanContext);
  check_range("sequences", request.num_sequences, 1, kMaxSequences);
  check_range("bytes of the host's cache", request.host_cache_bytes, 0, kMaxItemBytes);
  check_range("prefill chunk", request.prefill_chunk, 1, kMaxChunk);
  check_range("loss chunk rows", request.training.chunk_rows, 1, kMaxChunk);
  check_range("device memory in bytes", request.device.memory_bytes, 1, kMaxItemBytes);
  const ModelConfig* teacher = request.training.objective.teacher.get();
  LG_CHECK(teacher == nullptr || teacher->vocab_size == request.config.vocab_size,
           "[plan] teacher: expected a vocabulary of ", format_count(request.config.vocab_size),
           " tokens, that of the model, found ",
           format_count(teacher == nullptr ? 0 : teacher->vocab_size), ".");
  LG_CHECK(!request.training.aligns || request.layers.is_hybrid(),
           "[plan] align: expected a hybrid, whose sparse layers learn from full ones, found none. "
           "Name its full layers, or leave the first stage out.");
  LG_CHECK(
      request.training.masters == NumberFormat::float32 || request.format == NumberFormat::bfloat16,
      "[plan] masters in bfloat16 under float32 weights would lose what the weights hold. "
      "Take masters in float32.");
  LG_CHECK(
      request.training.offload == Offloading::none ||
          request.training.recompute != Recomputation::none,
      "[plan] with recompute none everything stays on the device: expected offload none, found "
      "layer_inputs.");
  const Efficiency& share = request.efficiency;
  check_share("linear", share.linear);
  check_share("full attention forward", share.full_forward);
  check_share("full attention backward", share.full_backward);
  check_share("sparse attention forward", share.sparse_forward);
  check_share("sparse attention backward", share.sparse_backward);
  check_share("bandwidth", share.bandwidth);
  check_share("usable memory", share.usable_memory);
  LG_CHECK(request.device.flops(request.format) > 0 && request.device.bytes_per_second > 0,
           "[plan] device \"", request.device.name, "\": rates must be positive.");
}

/// Returns the largest number of blocks in [0, high] for which `fits` holds; once it fails, it
/// fails for all larger ones.
int64_t largest(int64_t high, const std::function<bool(int64_t)>& fits) {
  int64_t low = 0;
  while (low < high) {
    const int64_t middle = low + (high - low + 1) / 2;
    if (fits(middle)) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

int64_t longest_context(const std::function<MemoryPlan(int64_t)>& memory, int64_t usable_bytes) {
  return Pattern::kBlock * largest(kMaxPlanContext / Pattern::kBlock, [&](int64_t blocks) {
           return memory(blocks * Pattern::kBlock).total_bytes() <= usable_bytes;
         });
}

/// Gives seconds on the device, each part at its share of the peak.
struct Clock {
  explicit Clock(const PlanRequest& request)
      : share(request.efficiency),
        flops(request.device.flops(request.format)),
        bytes_per_second(request.device.bytes_per_second * share.bandwidth) {}

  double forward(const Flops& work) const {
    return (work.linear / share.linear + work.full_attention / share.full_forward +
            work.sparse_attention / share.sparse_forward) /
           flops;
  }
  double backward(const Flops& work) const {
    return (work.linear / share.linear + work.full_attention / share.full_backward +
            work.sparse_attention / share.sparse_backward) /
           flops;
  }
  double step(const TrainingFlops& work) const {
    return forward(work.forward) + forward(work.objective) + forward(work.recompute) +
           backward(work.backward);
  }
  double transfer(double bytes) const { return bytes / bytes_per_second; }

  Efficiency share;
  double flops, bytes_per_second;
};

void estimate_times(const PlanRequest& request, ArchitecturePlan& plan) {
  const Clock clock(request);
  const auto weights = static_cast<double>(plan.decode_read.weights);
  const auto sequences = static_cast<double>(request.num_sequences);
  // Every chunk reads the weights once; short chunks are bound by that.
  const int64_t chunks = (request.context + request.prefill_chunk - 1) / request.prefill_chunk;
  plan.prefill_seconds =
      std::max(clock.forward(plan.prefill), clock.transfer(weights * static_cast<double>(chunks)));
  const double update = clock.transfer(
      static_cast<double>(update_bytes(request.config, request.format, request.training)));
  plan.training_seconds = clock.step(plan.training) + update;
  if (plan.alignment) plan.alignment->seconds = clock.step(plan.alignment->work) + update;
  plan.decode_seconds =
      std::max(clock.transfer(weights + sequences * static_cast<double>(plan.decode_read.kv)),
               sequences * clock.forward(plan.decode)) +
      request.device.step_seconds_per_layer * static_cast<double>(request.config.num_layers);
}

/// A model in which every layer is full has nothing to learn from itself.
ObjectiveLoad objective_of(const PlanRequest& request, const LayerPlan& layers) {
  ObjectiveLoad load = request.training.objective;
  if (load.teacher_is_self && layers.is_all_full()) load.teacher = nullptr;
  return load;
}

void fit_memory(const PlanRequest& request, int64_t usable, ArchitecturePlan& plan) {
  const ModelConfig& config = request.config;
  const auto serving = [&](int64_t tokens, int64_t sequences) {
    return serving_memory(config, plan.layers, request.format,
                          {.num_tokens = tokens,
                           .num_sequences = sequences,
                           .prefill_chunk = request.prefill_chunk,
                           .on_cpu = request.device.is_cpu()});
  };
  TrainingOptions options = request.training;
  options.on_cpu = request.device.is_cpu();
  options.objective = objective_of(request, plan.layers);
  const auto training = [&](int64_t tokens) {
    return training_memory(config, tokens, request.format, options);
  };
  const auto aligning = [&](int64_t tokens) {
    return alignment_memory(config, tokens, request.format, options);
  };
  plan.serving_memory = serving(request.context, request.num_sequences);
  plan.training_memory = training(request.context);
  plan.serving.fits = plan.serving_memory.total_bytes() <= usable;
  plan.training_fit.fits = plan.training_memory.total_bytes() <= usable;
  plan.training_fit.longest_context = longest_context(training, usable);
  if (plan.alignment) {
    plan.alignment->memory = aligning(request.context);
    Fit& fit = plan.training_fit;
    fit.fits = fit.fits && plan.alignment->memory.total_bytes() <= usable;
    fit.longest_context = std::min(fit.longest_context, longest_context(aligning, usable));
  }
  plan.serving.longest_context = longest_context(
      [&](int64_t tokens) { return serving(tokens, request.num_sequences); }, usable);
  plan.max_sequences = largest(kMaxSequences, [&](int64_t sequences) {
    return serving(request.context, sequences).total_bytes() <= usable;
  });
}

ArchitecturePlan plan_architecture(const PlanRequest& request, const LayerPlan& layers,
                                   int64_t usable) {
  const ModelConfig& config = request.config;
  const int64_t context = request.context;
  ArchitecturePlan plan;
  plan.layers = layers;
  plan.kv = kv_bytes(config, layers, context, request.format, request.prefill_chunk);
  plan.prefill = forward_flops(config, layers, 0, context, 1);
  plan.training = training_flops(config, layers, context, request.training.recompute,
                                 objective_of(request, layers));
  if (request.training.aligns && layers.is_hybrid()) {
    plan.alignment.emplace().work = alignment_flops(config, layers, context);
  }
  plan.decode = forward_flops(config, layers, context - 1, context, 1);
  plan.decode_read = decode_bytes(config, layers, context, request.format);
  fit_memory(request, usable, plan);
  plan.host_prefixes = request.host_cache_bytes / plan.kv.held;
  estimate_times(request, plan);
  return plan;
}

}  // namespace

double Plan::kept_share() const {
  return hybrid ? static_cast<double>(hybrid->kv.held) / static_cast<double>(full.kv.held) : 1;
}

Plan make_plan(const PlanRequest& request) {
  check_request(request);
  Plan plan;
  plan.request = request;
  plan.parameters = parameter_counts(request.config);
  plan.usable_bytes = static_cast<int64_t>(static_cast<double>(request.device.memory_bytes) *
                                           request.efficiency.usable_memory);
  const int64_t num_layers = request.config.num_layers;
  plan.full = plan_architecture(request, LayerPlan::all_full(num_layers), plan.usable_bytes);
  if (!request.layers.is_all_full()) {
    plan.hybrid = plan_architecture(request, request.layers, plan.usable_bytes);
  }
  return plan;
}

}  // namespace longgen
