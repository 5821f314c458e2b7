// The table of `longgen bench model`.
#include <algorithm>
#include <functional>

#include "longgen/base/check.h"
#include "longgen/base/units.h"
#include "longgen/bench/model_report.h"
#include "longgen/plan/table.h"

namespace longgen {
namespace {

std::string three_digits(double value) {
  return format_number(value, value < 10 ? "%.2f" : value < 100 ? "%.1f" : "%.0f");
}
std::string flops_text(double flops) { return format_si(flops, "FLOP"); }

/// "12.3 ms (12.1 to 12.9)", or "12.3 ms" of one round.
std::string with_range(double value, const OrderedJson& range,
                       const std::function<std::string(double)>& text) {
  const double low = range[0], high = range[1];
  return low == high ? text(value) : text(value) + " (" + text(low) + " to " + text(high) + ")";
}

std::string bytes_text(double bytes) { return format_bytes(static_cast<int64_t>(bytes)); }
std::string share_text(double share) { return format_number(100 * share, "%.1f%%"); }
std::string ratio_text(double ratio) { return format_number(ratio, "%.2f"); }

/// A table with a column for each variant; with "full" and "hybrid" among them their
/// ratio comes last.
class Table {
 public:
  explicit Table(const std::vector<OrderedJson>& variants) : variants_(variants) {
    std::vector<std::string> names = {""};
    for (const OrderedJson& variant : variants) {
      const std::string name = variant["variant"];
      names.push_back(name);
      if (name == "full") full_ = &variant;
      if (name == "hybrid") hybrid_ = &variant;
    }
    if (full_ != nullptr && hybrid_ != nullptr) names.emplace_back("full / hybrid");
    rows_.push_back(names);
  }

  /// Begins the rows about one part, under its name; they are left out where it was not measured.
  void begin_part(const std::string& part, const std::string& heading) {
    part_ = part;
    if (any([&](const OrderedJson& variant) { return variant.contains(part); })) {
      rows_.push_back({heading});
    }
  }

  using Text = std::function<std::string(double)>;
  /// Adds a number of the part, or, where begin_part("", ...) came last, of the variant.
  void add(const std::string& name, const std::string& key, const Text& text, bool ratio = false) {
    const auto value_of = [&](const OrderedJson& variant) { return find(variant, key); };
    if (!any([&](const OrderedJson& variant) { return value_of(variant) != nullptr; })) return;
    std::vector<std::string> row = {"  " + name};
    for (const OrderedJson& variant : variants_) {
      const OrderedJson* const value = value_of(variant);
      const OrderedJson* const range = find(variant, key + "_range");
      row.push_back(value == nullptr   ? "-"
                    : range == nullptr ? text(value->get<double>())
                                       : with_range(value->get<double>(), *range, text));
    }
    if (ratio && full_ != nullptr && hybrid_ != nullptr && value_of(*full_) != nullptr &&
        value_of(*hybrid_) != nullptr) {
      row.push_back(
          ratio_text(value_of(*full_)->get<double>() / value_of(*hybrid_)->get<double>()));
    } else if (rows_.front().size() > row.size()) {
      row.emplace_back("");
    }
    rows_.push_back(std::move(row));
  }

  std::string text() const { return format_table(rows_); }

 private:
  template <typename Test>
  bool any(const Test& test) const {
    return std::any_of(variants_.begin(), variants_.end(), test);
  }
  const OrderedJson* find(const OrderedJson& variant, const std::string& key) const {
    if (!part_.empty() && !variant.contains(part_)) return nullptr;
    const OrderedJson& place = part_.empty() ? variant : variant[part_];
    return place.contains(key) ? &place[key] : nullptr;
  }

  const std::vector<OrderedJson>& variants_;
  const OrderedJson *full_ = nullptr, *hybrid_ = nullptr;
  std::vector<std::vector<std::string>> rows_;
  std::string part_;
};

void add_speed(Table& table, const std::string& part, const std::string& heading) {
  table.begin_part(part, heading);
  table.add("time", "seconds", format_seconds, true);
  table.add("predicted", "predicted_seconds", format_seconds, true);
  table.add("measured / predicted", "seconds_to_predicted", ratio_text);
  table.add("work", "flops", flops_text, true);
  table.add("share of GEMM rate", "gemm_share", share_text);
}

void add_memory(Table& table) {
  table.add("peak device memory", "device_bytes", bytes_text, true);
  table.add("reserved there", "device_reserved_bytes", bytes_text);
  table.add("peak host memory", "host_bytes", bytes_text, true);
  table.add("predicted memory", "predicted_bytes", bytes_text, true);
  table.add("measured / predicted", "bytes_to_predicted", ratio_text);
}

}  // namespace

std::string to_text(const std::vector<OrderedJson>& variants) {
  Table table(variants);
  table.begin_part("", "");
  for (const char* part : {"prefill", "decode", "train"}) {
    table.add(std::string(part) + ", tokens/s", std::string(part) + "_tokens_per_s", three_digits);
  }
  table.add("KV cache of the prompt", "kv_bytes", bytes_text, true);
  add_speed(table, "prefill", "prefill");
  add_memory(table);
  add_speed(table, "decode", "decode, a step");
  table.add("reads", "read_bytes", bytes_text, true);
  table.add("share of copy rate", "copy_share", share_text);
  add_memory(table);
  add_speed(table, "train", "training step, one sequence");
  add_memory(table);
  return table.text();
}

}  // namespace longgen
