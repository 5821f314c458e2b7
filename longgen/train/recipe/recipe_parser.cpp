#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <list>
#include <map>

#include "longgen/base/check.h"
#include "longgen/base/units.h"
#include "longgen/train/recipe/nearest_key.h"
#include "longgen/train/recipe/recipe.h"
#include "longgen/train/recipe/recipe_values.h"

namespace longgen {
namespace {

using namespace recipe_fields;

constexpr int64_t kMaxBytes = 1 << 20;
constexpr double kDefaultDistillShare = 0.5;

// toml++ calls itself once for each part of a dotted key, and limits only the nesting of values (to
// 256): a.a.a... in a line of 64 KiB would overflow the stack. A key cannot go on in the next line.
constexpr std::ptrdiff_t kMaxDots = 100;

std::ptrdiff_t num_dots(std::string_view text) { return std::count(text.begin(), text.end(), '.'); }

void check_dots(std::string_view text, const std::string& source) {
  for (int64_t line = 1; !text.empty(); ++line) {
    const size_t end = std::min(text.find('\n'), text.size() - 1);
    const auto dots = num_dots(text.substr(0, end + 1));
    LG_CHECK(dots <= kMaxDots, source, ": line ", line, ": expected at most ", kMaxDots,
             " dots in a line, found ", dots, ".");
    text.remove_prefix(end + 1);
  }
}

toml::table parse_toml(std::string_view text, const std::string& source) {
  check_dots(text, source);
  try {
    return toml::parse(text, source);
  } catch (const toml::parse_error& error) {
    LG_FAIL(source, ": line ", error.source().begin.line, ": not valid TOML: ", error.description(),
            ".");
  }
}

class RecipeParser {
 public:
  RecipeParser(std::string_view text, const std::string& source)
      : source_(source), keys_(recipe_keys()), root_(parse_toml(text, source)) {
    for (const auto& [name, node] : root_) add_section(std::string(name.str()), node);
  }

  void add_override(const std::string& text) {
    const size_t equals = text.find('=');
    LG_CHECK(equals != std::string::npos && equals > 0,
             "--set: expected KEY=VALUE such as train.steps=20, found ", shown(text), ".");
    const std::string key = text.substr(0, equals), value = text.substr(equals + 1);
    const std::string where = "--set " + shortened(text);
    if (!is_key(key)) unknown(where, key);
    // One of the two says how long the run is; the other one in the file has lost its meaning.
    if (key == "train.steps") drop_from_file("train.tokens");
    if (key == "train.tokens") drop_from_file("train.steps");
    if (key == "data.path") drop_from_file("data.sources");
    if (key == "data.sources") drop_from_file("data.path");
    values_.push_back(override_value(value, where));
    entries_[key] = {values_.back().get("value"), where, value};
  }

  Recipe recipe() const {
    Recipe recipe;
    recipe.origins.source = source_;
    for_each(recipe, [&](const Key& key, auto& member, const auto& rule) {
      const auto entry = entries_.find(key.name);
      if (entry != entries_.end()) {
        recipe.origins.places.emplace(key.name, entry->second.where);
        if constexpr (std::is_same_v<std::decay_t<decltype(rule)>, SourceList>) {
          read_list(entry->second, recipe);
        } else {
          read(entry->second, member, rule);
        }
      } else if constexpr (std::is_same_v<std::decay_t<decltype(rule)>, Text>) {
        LG_CHECK(rule.missing.empty(), source_, ": ", key.name, " is missing: expected ",
                 rule.missing, ".");
      }
    });
    return recipe;
  }

 private:
  bool is_key(std::string_view key) const {
    return std::find(keys_.begin(), keys_.end(), key) != keys_.end();
  }

  std::string line(const toml::node& node) const { return place(source_, node); }

  /// Reads [[data.sources]]; data.packing has been read.
  void read_list(const Entry& entry, Recipe& recipe) const {
    auto& places = recipe.origins.places;
    read_sources(entry, entry.given ? "" : source_, recipe.data.packing, recipe.data.sources,
                 [&](const std::string& key, const std::string& where) { places[key] = where; });
  }

  void add_section(const std::string& section, const toml::node& node) {
    const std::string prefix = section + ".";
    const bool known = std::any_of(keys_.begin(), keys_.end(),
                                   [&](const auto& key) { return key.starts_with(prefix); });
    const auto* table = node.as_table();
    if (table == nullptr && !known) unknown(line(node), section);
    LG_CHECK(table != nullptr, line(node), ": expected a section [", section, "], found ",
             shown(node), ".");
    if (!known) unknown_section(line(node), section);
    for (const auto& [name, value] : *table) {
      const std::string key = prefix + std::string(name.str());
      if (!is_key(key)) unknown(line(value), key);
      entries_[key] = {&value, line(value) + ": " + key, std::nullopt};
    }
  }

  [[noreturn]] void unknown(const std::string& where, const std::string& key) const {
    const std::string nearest = nearest_key(key, keys_);
    std::string advice = " Did you mean " + nearest + "?";
    if (nearest.empty()) {
      const std::string section = key.substr(0, key.find('.') + 1);
      advice = "";
      for (const std::string& known : keys_) {
        if (!section.empty() && known.starts_with(section)) {
          advice += (advice.empty() ? " Known are " : ", ") + known;
        }
      }
      advice =
          advice.empty() ? " The keys of a recipe are listed in docs/recipes.md." : advice + ".";
    }
    LG_FAIL(where, ": unknown key ", shown(key), ".", advice);
  }

  [[noreturn]] void unknown_section(const std::string& where, const std::string& section) const {
    std::vector<std::string> sections;
    std::string list;
    for (const std::string& key : keys_) {
      const std::string name = key.substr(0, key.find('.'));
      if (!sections.empty() && sections.back() == name) continue;
      sections.push_back(name);
      list += (list.empty() ? "[" : ", [") + name + "]";
    }
    const std::string nearest = nearest_key(section, sections);
    LG_FAIL(
        where, ": unknown section ", shown(section), ".",
        nearest.empty() ? " Expected one of " + list + "." : " Did you mean [" + nearest + "]?");
  }

  void drop_from_file(const std::string& key) {
    const auto entry = entries_.find(key);
    if (entry != entries_.end() && !entry->second.given) entries_.erase(entry);
  }

  /// A table with the one key "value".
  static toml::table override_value(const std::string& value, const std::string& where) {
    try {
      if (num_dots(value) <= kMaxDots) {
        toml::table table = toml::parse("value = " + value);
        if (table.size() == 1) return table;
      }
    } catch (const toml::parse_error&) {
      // What is not TOML is plain text.
    }
    try {
      return toml::parse("value = " + toml_quoted(value));
    } catch (const toml::parse_error& error) {
      LG_FAIL(where, ": expected text in UTF-8: ", error.description(), ".");
    }
  }

  std::string source_;
  std::vector<std::string> keys_;
  toml::table root_;
  std::list<toml::table> values_;  // of overrides; nodes keep their place
  std::map<std::string, Entry, std::less<>> entries_;
};

void check_sources(const Recipe& recipe) {
  const bool has_path = !recipe.data.path.empty(), has_sources = !recipe.data.sources.empty();
  LG_CHECK(has_path || has_sources, recipe.origins.source,
           ": data.path is missing: expected the directory of a prepared dataset, or "
           "[[data.sources]].");
  LG_CHECK(!has_path || !has_sources, recipe.where("data.sources"),
           ": expected either data.path or data.sources, found both. Remove one.");
}

void check_lengths(Recipe& recipe) {
  LG_CHECK(recipe.architecture.context > 0, recipe.where("architecture.context"),
           " is missing: expected the context length in tokens, such as 32768 or \"32K\".");
  const int64_t context = recipe.architecture.context;
  if (recipe.data.sequence_length == 0) recipe.data.sequence_length = context;
  LG_CHECK(recipe.data.sequence_length <= context, recipe.where("data.sequence_length"),
           ": expected at most architecture.context, ", context, ", found ",
           recipe.data.sequence_length, ".");
}

void check_steps(Recipe& recipe) {
  Recipe::Train& train = recipe.train;
  LG_CHECK(train.steps == 0 || train.tokens == 0, recipe.where("train.tokens"),
           ": expected either train.steps or train.tokens, found both. Remove one.");
  LG_CHECK(train.steps > 0 || train.tokens > 0, recipe.origins.source,
           ": expected train.steps or train.tokens (how long to train), found neither.");
  const int64_t total = recipe.total_steps();
  LG_CHECK(train.steps <= kMaxRunTokens / recipe.tokens_per_step(), recipe.where("train.steps"),
           ": expected at most ", format_count(kMaxRunTokens), " tokens in all, found ",
           format_count(total), " steps of ", format_count(recipe.tokens_per_step()), " tokens.");
  if (!recipe.origins.places.contains("train.warmup_steps")) train.warmup_steps = (total + 19) / 20;
  LG_CHECK(train.warmup_steps <= total, recipe.where("train.warmup_steps"),
           ": expected at most the total number of steps, ", total, ", found ", train.warmup_steps,
           ".");
  LG_CHECK(train.align_steps < total, recipe.where("train.align_steps"),
           ": expected less than the total number of steps, ", total, ", found ", train.align_steps,
           ".");
}

void check_decay(const Recipe& recipe) {
  const double share = recipe.train.learning_rate * recipe.train.weight_decay;
  LG_CHECK(share < 1, recipe.where("train.weight_decay"),
           ": a step takes learning_rate * weight_decay of every matrix away: expected less than "
           "1, found ",
           recipe.train.learning_rate, " * ", recipe.train.weight_decay, " = ", share, ".");
}

void check_states(const Recipe& recipe) {
  const Recipe::Train& train = recipe.train;
  LG_CHECK(train.states == NumberFormat::float32 || train.precision == NumberFormat::bfloat16,
           recipe.where("train.states"),
           ": weights in bfloat16 are computed with in bfloat16: expected \"float32\" with "
           "train.precision = \"float32\", found \"bfloat16\".");
}

void check_offload(const Recipe& recipe) {
  const Recipe::Train& train = recipe.train;
  LG_CHECK(
      train.offload == Offloading::none || train.recompute != Recomputation::none,
      recipe.where("train.offload"),
      ": with train.recompute = \"none\" everything stays on the GPU: expected \"none\", found "
      "\"layer_inputs\".");
}

void check_teacher_share(Recipe& recipe) {
  Recipe::Train& train = recipe.train;
  const bool is_given = recipe.origins.places.contains("train.distill_share");
  if (train.distils() && !is_given) train.distill_share = kDefaultDistillShare;
  LG_CHECK(train.distils() || train.distill_share == 0, recipe.where("train.distill_share"),
           ": expected 0 without a train.teacher, found ", train.distill_share,
           ". Set train.teacher to \"self\" or to a model's directory, or remove this.");
  LG_CHECK(!train.distils() || train.distill_share > 0, recipe.where("train.distill_share"),
           ": expected more than 0 with a train.teacher, found 0: nothing would be learnt from it. "
           "Remove train.teacher, or give a share.");
}

}  // namespace

Recipe parse_recipe(std::string_view text, const std::string& source,
                    const std::vector<std::string>& overrides) {
  const auto num_bytes = static_cast<int64_t>(text.size());
  LG_CHECK(num_bytes <= kMaxBytes, source, ": expected a recipe of at most ",
           format_count(kMaxBytes), " bytes, found ", format_count(num_bytes), ".");
  RecipeParser parser(text, source);
  for (const std::string& override_text : overrides) parser.add_override(override_text);
  Recipe recipe = parser.recipe();
  check_sources(recipe);
  name_sources(recipe.data.sources, [&](const std::string& key) { return recipe.where(key); });
  check_lengths(recipe);
  LG_CHECK(recipe.train.batch_size % recipe.train.accumulation == 0,
           recipe.where("train.accumulation"), ": expected a divisor of train.batch_size, ",
           recipe.train.batch_size, ", found ", recipe.train.accumulation, ".");
  check_steps(recipe);
  check_decay(recipe);
  check_states(recipe);
  check_offload(recipe);
  check_teacher_share(recipe);
  return recipe;
}

Recipe load_recipe(const fs::path& path, const std::vector<std::string>& overrides) {
  return parse_recipe(read_file(path, kMaxBytes), path.string(), overrides);
}

}  // namespace longgen
