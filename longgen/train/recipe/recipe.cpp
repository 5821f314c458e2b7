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

using Lines = std::vector<std::pair<std::string, std::string>>;

/// The keys and values that recipe_hash covers.
Lines fixed_values(const Recipe& recipe) {
  Lines lines;
  for_each(recipe, [&](const Key& key, const auto& value, const auto& rule) {
    if (key.on_resume != OnResume::fixed || key.name == "train.tokens") return;
    lines.emplace_back(key.name, key.name == "train.steps" ? std::to_string(recipe.total_steps())
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

std::string Recipe::where(std::string_view key) const {
  const auto place = origins.places.find(key);
  return place == origins.places.end() ? origins.source + ": " + std::string(key) : place->second;
}

std::string dump_recipe(const Recipe& recipe) {
  std::string text, open_section;
  for_each(recipe, [&](const Key& key, const auto& value, const auto& rule) {
    const bool absent = (key.name == "train.steps" && recipe.train.steps == 0) ||
                        (key.name == "train.tokens" && recipe.train.tokens == 0) ||
                        (key.name == "train.teacher" && !recipe.train.distils());
    if (absent) return;
    const size_t dot = key.name.find('.');
    const std::string section(key.name.substr(0, dot));
    if (section != open_section) {
      text += (text.empty() ? "[" : "\n[") + section + "]\n";
      open_section = section;
    }
    text += std::string(key.name.substr(dot + 1)) + " = " + value_text(value, rule) + "\n";
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
  for (const auto& [key, value] : fixed_values(recipe)) text += key + " = " + value + "\n";
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
