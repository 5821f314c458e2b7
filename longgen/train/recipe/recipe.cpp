#include "longgen/train/recipe/recipe.h"

#include <fmt/format.h>

#include "longgen/base/check.h"
#include "longgen/train/recipe/recipe_fields.h"

namespace longgen {
namespace recipe_fields {

std::string toml_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      out += fmt::format("\\u{:04X}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace recipe_fields

namespace {

using namespace recipe_fields;

// value_text(value, rule) gives a value as it stands in the file: of a double, the fewest digits
// that are read back as the same one.
std::string value_text(const std::string& value, Text) { return toml_quoted(value); }
std::string value_text(int64_t value, Count) { return std::to_string(value); }
std::string value_text(bool value, YesNo) { return value ? "true" : "false"; }

std::string value_text(double value, Number) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string value_text(const RopeChange& rope, Rope) {
  switch (rope.kind) {
    case RopeChange::Kind::kBase:
      return value_text(rope.base, Number{0, config_limits::kMaxRopeBase});
    case RopeChange::Kind::kYarn:
      return toml_quoted("yarn");
    case RopeChange::Kind::kKeep:
      return toml_quoted("keep");
    case RopeChange::Kind::kAuto:
      break;
  }
  return toml_quoted("auto");
}

template <typename Enum, size_t N>
std::string value_text(Enum value, const Choice<Enum, N>& choice) {
  return toml_quoted(choice.name(value));
}

std::string value_text(const std::vector<DataSource>& sources, SourceList) {
  std::string text;
  for (const DataSource& source : sources) {
    text += text.empty() ? "{ " : ", { ";
    for_each_in_source(source, [&](const char* name, const auto& value, const auto& rule, bool) {
      if (name == kSourceName) return;
      text += text.ends_with("{ ") ? "" : ", ";
      text += detail::concat(name, " = ", value_text(value, rule));
    });
    text += " }";
  }
  return "[" + text + "]";
}

/// Every source as a table of its own.
std::string tables(const std::vector<DataSource>& sources) {
  std::string text;
  for (const DataSource& source : sources) {
    text += "\n[[data.sources]]\n";
    for_each_in_source(source, [&](const char* name, const auto& value, const auto& rule, bool) {
      text += detail::concat(name, " = ", value_text(value, rule), "\n");
    });
  }
  return text;
}

/// Of the two ways to name data, and the two to say how long to train, one is not there.
bool is_absent(const Recipe& recipe, std::string_view key) {
  return (key == "train.steps" && recipe.train.steps == 0) ||
         (key == "train.tokens" && recipe.train.tokens == 0) ||
         (key == "data.path" && recipe.data.path.empty()) ||
         (key == "data.sources" && recipe.data.sources.empty()) ||
         (key == "train.teacher" && !recipe.train.distils());
}

using Lines = std::vector<std::pair<std::string, std::string>>;

/// The keys and values that recipe_hash covers.
Lines fixed_values(const Recipe& recipe) {
  Lines lines;
  for_each(recipe, [&](const Key& key, const auto& value, const auto& rule) {
    if (key.on_resume != OnResume::fixed || key.name == "train.tokens") return;
    const bool absent = key.name.starts_with("data.") && is_absent(recipe, key.name);
    lines.emplace_back(key.name, absent                      ? "none"
                                 : key.name == "train.steps" ? std::to_string(recipe.total_steps())
                                                             : value_text(value, rule));
  });
  return lines;
}

}  // namespace

int64_t Recipe::total_steps() const {
  if (train.steps > 0) return train.steps;
  LG_DCHECK(train.tokens > 0 && tokens_per_step() > 0);
  return (train.tokens - 1) / tokens_per_step() + 1;
}

Schedule Recipe::schedule() const {
  return {.kind = train.schedule,
          .peak = train.learning_rate,
          .final_share = train.final_lr_share,
          .warmup_steps = train.warmup_steps,
          .total_steps = total_steps()};
}

std::vector<DataSource> Recipe::datasets() const {
  if (!data.sources.empty()) return data.sources;
  return {{data.path, 1, data.packing}};
}

std::string Recipe::path_key(size_t dataset) const {
  return data.sources.empty() ? "data.path" : fmt::format("data.sources[{}].path", dataset);
}

std::string Recipe::where(std::string_view key) const {
  const auto place = origins.places.find(key);
  return place == origins.places.end() ? origins.source + ": " + std::string(key) : place->second;
}

std::string dump_recipe(const Recipe& recipe) {
  std::string text, open_section;
  for_each(recipe, [&](const Key& key, const auto& value, const auto& rule) {
    if (is_absent(recipe, key.name)) return;
    const size_t dot = key.name.find('.');
    const std::string section(key.name.substr(0, dot));
    if (section != open_section) {
      text += (text.empty() ? "[" : "\n[") + section + "]\n";
      open_section = section;
    }
    if constexpr (std::is_same_v<std::decay_t<decltype(rule)>, SourceList>) {
      text += tables(value);
    } else {
      text += std::string(key.name.substr(dot + 1)) + " = " + value_text(value, rule) + "\n";
    }
  });
  return text;
}

std::vector<std::string> recipe_keys() {
  std::vector<std::string> keys;
  const Recipe recipe;
  for_each(recipe, [&](const Key& key, const auto&, const auto&) { keys.emplace_back(key.name); });
  return keys;
}

std::string recipe_hash(const Recipe& recipe) {
  std::string text;
  for (const auto& [key, value] : fixed_values(recipe)) {
    // A recipe without sources has the hash that it had before there were any.
    if (key != "data.sources" || value != "none") text += key + " = " + value + "\n";
  }
  return hash_hex(text);
}

std::vector<std::string> resume_differences(const Recipe& saved, const Recipe& now) {
  const Lines before = fixed_values(saved), after = fixed_values(now);
  std::vector<std::string> differences;
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i].second == after[i].second) continue;
    differences.push_back(before[i].first + ": " + before[i].second + " before, " +
                          after[i].second + " now");
  }
  return differences;
}

}  // namespace longgen
