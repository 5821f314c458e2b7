#include <cctype>

#include "longgen/plan/plan.h"
#include "longgen/plan/report_json.h"

namespace longgen {
namespace {

OrderedJson flops_to_json(const Flops& flops) {
  return {{"total", flops.total()},
          {"linear", flops.linear},
          {"full_attention", flops.full_attention},
          {"sparse_attention", flops.sparse_attention}};
}

/// Makes "kv_cache" of "KV cache".
std::string key_of(std::string name) {
  for (char& c : name) c = c == ' ' ? '_' : static_cast<char>(std::tolower(c));
  return name;
}

OrderedJson items_to_json(const MemoryPlan& memory) {
  OrderedJson items = OrderedJson::object();
  for (const MemoryItem& item : memory.items) items[key_of(item.name)] = item.bytes;
  return items;
}

OrderedJson memory_to_json(const MemoryPlan& memory, const Fit& fit) {
  return {{"items_bytes", items_to_json(memory)},
          {"total_bytes", memory.total_bytes()},
          {"fits", fit.fits},
          {"longest_context", fit.longest_context}};
}

OrderedJson alignment_to_json(const std::optional<AlignmentPlan>& plan) {
  if (!plan) return nullptr;
  return {{"items_bytes", items_to_json(plan->memory)},
          {"total_bytes", plan->memory.total_bytes()},
          {"flops",
           {{"forward", flops_to_json(plan->work.forward)},
            {"backward", flops_to_json(plan->work.backward)},
            {"model_as_it_began", flops_to_json(plan->work.objective)},
            {"step", plan->work.total()}}},
          {"seconds", plan->seconds}};
}

OrderedJson architecture_to_json(const ArchitecturePlan& plan) {
  OrderedJson serving = memory_to_json(plan.serving_memory, plan.serving);
  serving["max_sequences"] = plan.max_sequences;
  serving["host_prefixes"] = plan.host_prefixes;
  OrderedJson training = memory_to_json(plan.training_memory, plan.training_fit);
  training["host_bytes"] = plan.training_memory.host_bytes;
  return {{"layers", layers_to_json(plan.layers)},
          {"kv_bytes", plan.kv.held},
          {"kv_decode_peak_bytes", plan.kv.decode_peak},
          {"kv_prefill_peak_bytes", plan.kv.prefill_peak},
          {"flops",
           {{"prefill", flops_to_json(plan.prefill)},
            {"training_forward", flops_to_json(plan.training.forward)},
            {"training_backward", flops_to_json(plan.training.backward)},
            {"training_recompute", flops_to_json(plan.training.recompute)},
            {"training_objective", flops_to_json(plan.training.objective)},
            {"training_step", plan.training.total()},
            {"decode_token", flops_to_json(plan.decode)}}},
          {"decode_weight_bytes", plan.decode_read.weights},
          {"decode_kv_bytes", plan.decode_read.kv},
          {"serving", std::move(serving)},
          {"training", std::move(training)},
          {"alignment", alignment_to_json(plan.alignment)},
          {"seconds",
           {{"prefill", plan.prefill_seconds},
            {"training_step", plan.training_seconds},
            {"decode_step", plan.decode_seconds}}}};
}

OrderedJson device_to_json(const Plan& plan) {
  const DeviceSpec& device = plan.request.device;
  return {{"name", device.name},
          {"title", device.title},
          {"compute_capability", device.compute_capability},
          {"runs_longgen", !device.is_refused_gpu()},
          {"memory_bytes", device.memory_bytes},
          {"usable_bytes", plan.usable_bytes},
          {"flops_per_second", device.flops(plan.request.format)},
          {"bytes_per_second", device.bytes_per_second},
          {"step_seconds_per_layer", device.step_seconds_per_layer},
          {"source", device.source}};
}

OrderedJson assumptions_to_json(const PlanRequest& request) {
  const Efficiency& share = request.efficiency;
  const TrainingOptions& training = request.training;
  return {{"linear", share.linear},
          {"full_attention_forward", share.full_forward},
          {"full_attention_backward", share.full_backward},
          {"sparse_attention_forward", share.sparse_forward},
          {"sparse_attention_backward", share.sparse_backward},
          {"bandwidth", share.bandwidth},
          {"usable_memory", share.usable_memory},
          {"prefill_chunk", request.prefill_chunk},
          {"recompute", kRecomputations.name(training.recompute)},
          {"offload", kOffloadings.name(training.offload)},
          {"masters", number_format_name(training.masters)},
          {"gradients", number_format_name(training.gradients)},
          {"optimizer", number_format_name(training.optimizer)},
          {"teacher", training.objective.teacher != nullptr},
          {"teacher_is_self", training.objective.teacher_is_self},
          {"far_weight", training.objective.far_weight},
          {"loss_chunk_rows", training.chunk_rows}};
}

/// Gives full over hybrid: above 1 is what the hybrid gains.
OrderedJson ratios_to_json(const ArchitecturePlan& full, const ArchitecturePlan& hybrid) {
  const auto ratio = [](auto a, auto b) { return static_cast<double>(a) / static_cast<double>(b); };
  return {{"kv_bytes", ratio(full.kv.held, hybrid.kv.held)},
          {"prefill_flops", ratio(full.prefill.total(), hybrid.prefill.total())},
          {"training_flops", ratio(full.training.total(), hybrid.training.total())},
          {"decode_flops", ratio(full.decode.total(), hybrid.decode.total())},
          {"prefill_seconds", ratio(full.prefill_seconds, hybrid.prefill_seconds)},
          {"training_seconds", ratio(full.training_seconds, hybrid.training_seconds)},
          {"decode_seconds", ratio(full.decode_seconds, hybrid.decode_seconds)}};
}

}  // namespace

OrderedJson to_json(const Plan& plan) {
  const PlanRequest& request = plan.request;
  OrderedJson model = model_to_json(request.config);
  model["name"] = request.model;
  model["parameters"] = parameters_to_json(plan.parameters);
  OrderedJson json = {{"model", std::move(model)},
                      {"context", request.context},
                      {"dtype", number_format_name(request.format)},
                      {"num_sequences", request.num_sequences},
                      {"device", device_to_json(plan)},
                      {"assumptions", assumptions_to_json(request)},
                      {"full", architecture_to_json(plan.full)},
                      {"hybrid", nullptr},
                      {"kept_share", plan.kept_share()},
                      {"full_over_hybrid", nullptr}};
  if (plan.hybrid) {
    json["hybrid"] = architecture_to_json(*plan.hybrid);
    json["full_over_hybrid"] = ratios_to_json(plan.full, *plan.hybrid);
  }
  return json;
}

}  // namespace longgen
