#include "longgen/measure/journal.h"

#include <algorithm>
#include <functional>

#include "longgen/base/append_file.h"
#include "longgen/base/check.h"
#include "longgen/model/config_limits.h"

namespace longgen {
namespace {

constexpr const char* kFormat = "longgen measure journal";
constexpr int64_t kVersion = 1;
constexpr int64_t kMostSamples = 1 << 20;

std::string first_line(const OrderedJson& settings) {
  return dump_json(
             OrderedJson{{"format", kFormat}, {"version", kVersion}, {"settings", settings}}) +
         "\n";
}

/// Throws Error naming the first setting that differs.
void expect_settings(const Json& found, const OrderedJson& wanted, const std::string& file) {
  for (const auto& [key, value] : wanted.items()) {
    const auto before = found.find(key);
    LG_CHECK(before != found.end() && *before == Json(value), file, ": holds a measurement with ",
             key, " ", before == found.end() ? "unknown" : dump_json(*before),
             ", and this one has ", dump_json(value),
             ". Give another --out, or --restart to measure anew.");
  }
}

}  // namespace

MeasureJournal::MeasureJournal(fs::path file, const OrderedJson& settings,
                               const JournalShape& shape, bool restart)
    : path_(std::move(file)) {
  std::string text;
  if (!restart && fs::exists(path_)) text = read_file(path_);
  text.resize(text.rfind('\n') + 1);  // what follows the last line break is torn
  if (text.empty()) {
    text = first_line(settings);
  } else {
    read(text, settings, shape);
  }
  write_file(path_, text);
  file_ = std::make_unique<AppendFile>(path_, AppendFile::Start::append);
}

MeasureJournal::~MeasureJournal() = default;

void MeasureJournal::read_line(const JsonObject& line, const JournalShape& shape) {
  const int64_t sample = line.integer("sample", 0, kMostSamples);
  if (line.has("gates")) {
    gates_[sample] = gate_slopes_from_json(line.object("gates"), shape.num_units);
    return;
  }
  LayerSet full = line.integers("full", 0, config_limits::kMaxLayers);
  LG_CHECK(std::adjacent_find(full.begin(), full.end(), std::greater_equal<>()) == full.end(),
           line.where("full"), ": expected layers, ascending, each once.");
  VariantValues values = values_from_json(line.object("values"));
  LG_CHECK(values.ranges.size() == shape.num_ranges, line.where("values.far_text"), ": expected ",
           shape.num_ranges, " ranges of positions, found ", values.ranges.size(), ".");
  known_[{sample, std::move(full)}] = std::move(values);
}

void MeasureJournal::read(const std::string& text, const OrderedJson& settings,
                          const JournalShape& shape) {
  int64_t line_number = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    const std::string source = detail::concat(path_.string(), ": line ", ++line_number);
    const Json json = parse_json(std::string_view(text).substr(at, end - at), source);
    const JsonObject line(json, source);
    at = end + 1;
    if (line_number == 1) {
      LG_CHECK(line.string("format", "") == kFormat, source,
               ": expected the journal of a measurement. Give another --out, or --restart to "
               "replace the file.");
      line.integer("version", kVersion, kVersion);
      expect_settings(line.object("settings").value(), settings, path_.string());
      continue;
    }
    read_line(line, shape);
  }
}

const VariantValues* MeasureJournal::find(int64_t sample, const LayerSet& full) const {
  const auto found = known_.find({sample, full});
  return found == known_.end() ? nullptr : &found->second;
}

void MeasureJournal::add(int64_t sample, const LayerSet& full, const VariantValues& values) {
  const OrderedJson line = {{"sample", sample}, {"full", full}, {"values", to_json(values)}};
  file_->append(dump_json(line) + "\n");
  known_[{sample, full}] = values;
}

const GateSlopes* MeasureJournal::find_gates(int64_t sample) const {
  const auto found = gates_.find(sample);
  return found == gates_.end() ? nullptr : &found->second;
}

void MeasureJournal::add_gates(int64_t sample, const GateSlopes& slopes) {
  file_->append(dump_json(OrderedJson{{"sample", sample}, {"gates", to_json(slopes)}}) + "\n");
  gates_[sample] = slopes;
}

}  // namespace longgen
