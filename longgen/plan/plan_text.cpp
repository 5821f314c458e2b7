#include <fmt/format.h>
#include <algorithm>

#include <functional>

#include "longgen/base/units.h"
#include "longgen/plan/plan.h"
#include "longgen/plan/table.h"

namespace longgen {
namespace {

std::string format_flops(double flops) { return format_si(flops, "FLOP"); }

std::string format_percent(double share) { return fmt::format("{:.0f}%", share * 100); }

std::string format_context(int64_t tokens) {
  if (tokens == 0) return "none";
  return (tokens == kMaxPlanContext ? "at least " : "") + format_count(tokens);
}

std::string yes_or_no(bool value) { return value ? "yes" : "no"; }

/// Writes rows of items with a column for each architecture and, for quantities, their ratio.
class Report {
 public:
  explicit Report(const Plan& plan) : plan_(plan) {
    rows_.push_back({"", "full"});
    if (plan.hybrid) rows_.back() = {"", "full", "hybrid", "full / hybrid"};
  }

  void heading(const std::string& title) { rows_.push_back({title}); }

  using Value = std::function<double(const ArchitecturePlan&)>;
  using Format = std::function<std::string(double)>;
  void quantity(const std::string& name, const Format& format, const Value& value) {
    const double full = value(plan_.full);
    std::vector<std::string> row = {name, format(full)};
    if (plan_.hybrid) {
      const double hybrid = value(*plan_.hybrid);
      row.push_back(format(hybrid));
      row.push_back(hybrid > 0 && full != hybrid ? fmt::format("{:.2f}", full / hybrid) : "");
    }
    rows_.push_back(std::move(row));
  }

  /// A row of what the hybrid alone has.
  void of_hybrid(const std::string& name, const std::string& value) {
    rows_.push_back({name, "", value});
  }

  void fact(const std::string& name,
            const std::function<std::string(const ArchitecturePlan&)>& format) {
    rows_.push_back({name, format(plan_.full)});
    if (plan_.hybrid) rows_.back().push_back(format(*plan_.hybrid));
  }

  std::string text() const { return format_table(rows_); }

 private:
  const Plan& plan_;
  std::vector<std::vector<std::string>> rows_;
};

/// Absurd requests reach sums beyond 63 bits; the text then shows the largest number of bytes.
std::string bytes_of(double bytes) {
  constexpr double kMostBytes = 9.2e18;
  return format_bytes(static_cast<int64_t>(std::min(bytes, kMostBytes)));
}

void add_memory(const Plan& plan, const MemoryPlan ArchitecturePlan::*memory, Report& report) {
  const ArchitecturePlan& most = plan.hybrid ? *plan.hybrid : plan.full;
  for (const MemoryItem& item : (most.*memory).items) {
    report.quantity("  " + item.name, bytes_of, [&](const ArchitecturePlan& side) {
      const MemoryPlan& of_side = side.*memory;
      return of_side.has(item.name) ? static_cast<double>(of_side.bytes(item.name)) : 0;
    });
  }
  report.quantity("  total", bytes_of, [memory](const ArchitecturePlan& side) {
    return static_cast<double>((side.*memory).total_bytes());
  });
}

void add_serving(const Plan& plan, Report& report) {
  const int64_t sequences = plan.request.num_sequences;
  report.heading("serving " + format_count(sequences, "sequence"));
  add_memory(plan, &ArchitecturePlan::serving_memory, report);
  report.fact("  fits", [](const auto& side) { return yes_or_no(side.serving.fits); });
  report.fact("  sequences that fit",
              [](const auto& side) { return format_count(side.max_sequences); });
  if (plan.request.host_cache_bytes > 0) {
    report.fact("  prefixes on the host",
                [](const auto& side) { return format_count(side.host_prefixes); });
  }
  report.fact("  longest context that fits",
              [](const auto& side) { return format_context(side.serving.longest_context); });
}

void add_training(const Plan& plan, Report& report) {
  const TrainingOptions& training = plan.request.training;
  std::string title =
      "training, one sequence a step, recompute " + kRecomputations.name(training.recompute);
  if (training.masters == NumberFormat::bfloat16) title += ", states bfloat16";
  if (training.objective.teacher != nullptr) {
    title += training.objective.teacher_is_self ? ", its own teacher" : ", with a teacher";
  }
  if (training.objective.far_weight) title += ", far weights";
  report.heading(title);
  add_memory(plan, &ArchitecturePlan::training_memory, report);
  if (training.offload == Offloading::layer_inputs) {
    report.quantity("  layer inputs on the host", bytes_of, [](const auto& side) {
      return static_cast<double>(side.training_memory.host_bytes);
    });
  }
  report.fact("  fits", [](const auto& side) { return yes_or_no(side.training_fit.fits); });
  report.fact("  longest context that fits",
              [](const auto& side) { return format_context(side.training_fit.longest_context); });
}

const AlignmentPlan* alignment_of(const Plan& plan) {
  return plan.hybrid && plan.hybrid->alignment ? &*plan.hybrid->alignment : nullptr;
}

void add_alignment(const Plan& plan, Report& report) {
  const AlignmentPlan* const alignment = alignment_of(plan);
  if (alignment == nullptr) return;
  report.heading("first stage, one sequence a step");
  for (const MemoryItem& item : alignment->memory.items) {
    report.of_hybrid("  " + item.name, format_bytes(item.bytes));
  }
  report.of_hybrid("  total", bytes_of(static_cast<double>(alignment->memory.total_bytes())));
}

void add_work(const Plan& plan, Report& report) {
  report.heading("work");
  report.quantity("  prefill", format_flops, [](const auto& side) { return side.prefill.total(); });
  report.quantity("  training step", format_flops,
                  [](const auto& side) { return side.training.total(); });
  const AlignmentPlan* const alignment = alignment_of(plan);
  if (alignment != nullptr) {
    report.of_hybrid("  first-stage step", format_flops(alignment->work.total()));
  }
  report.quantity("  decode, a token", format_flops,
                  [](const auto& side) { return side.decode.total(); });
  report.quantity("  decode reads, a step", bytes_of, [&plan](const auto& side) {
    return static_cast<double>(side.decode_read.weights) +
           static_cast<double>(plan.request.num_sequences) *
               static_cast<double>(side.decode_read.kv);
  });
  report.heading("time, estimated");
  report.quantity("  prefill", format_seconds,
                  [](const auto& side) { return side.prefill_seconds; });
  report.quantity("  training step", format_seconds,
                  [](const auto& side) { return side.training_seconds; });
  if (alignment != nullptr) {
    report.of_hybrid("  first-stage step", format_seconds(alignment->seconds));
  }
  report.quantity("  decode step", format_seconds,
                  [](const auto& side) { return side.decode_seconds; });
}

std::string title_text(const Plan& plan) {
  const PlanRequest& request = plan.request;
  const DeviceSpec& device = request.device;
  std::string text = fmt::format("{}: {} parameters, {} tokens, {}\n", request.model,
                                 format_count(plan.parameters.total()),
                                 format_count(request.context), number_format_name(request.format));
  text += fmt::format("device {}: {}; {} of {} planned for\n", device.name, device.title,
                      format_bytes(plan.usable_bytes), format_bytes(device.memory_bytes));
  if (device.is_refused_gpu()) {
    text += fmt::format(
        "note: --device cuda refuses this GPU: longgen's kernels are made for compute capability "
        "{},\nit has {}. The plan is for kernels that were made for it.\n",
        kKernelCapability, device.compute_capability);
  }
  if (plan.hybrid) {
    const LayerPlan& layers = request.layers;
    const std::string classes =
        !layers.is_full_and_sparse()
            ? format_classes(layers)
            : fmt::format("full layers {}, the others {}",
                          format_layers(layers.full_layers(), layers.num_layers()),
                          layers.sparse().to_string());
    text += fmt::format("hybrid: {}; keeps {:.1f}% of the KV cache\n", classes,
                        100 * plan.kept_share());
  }
  return text;
}

std::string assumptions_text(const Plan& plan) {
  const PlanRequest& request = plan.request;
  const Efficiency& share = request.efficiency;
  return fmt::format(
      "Times assume these shares of {} and {}: matrices {}, full attention {} forward and {} "
      "backward,\nsparse attention {} and {}, memory {}. Measured on H200 and H100, assumed "
      "elsewhere.\n",
      format_si(request.device.flops(request.format), "FLOP/s"),
      format_si(request.device.bytes_per_second, "B/s"), format_percent(share.linear),
      format_percent(share.full_forward), format_percent(share.full_backward),
      format_percent(share.sparse_forward), format_percent(share.sparse_backward),
      format_percent(share.bandwidth));
}

}  // namespace

std::string to_text(const Plan& plan) {
  Report report(plan);
  report.quantity("KV cache of a sequence", bytes_of,
                  [](const auto& side) { return static_cast<double>(side.kv.held); });
  add_serving(plan, report);
  add_alignment(plan, report);
  add_training(plan, report);
  add_work(plan, report);
  return title_text(plan) + "\n" + report.text() + "\n" + assumptions_text(plan);
}

}  // namespace longgen
