// recipe_sources.cpp: [[data.sources]], from TOML to the members of Recipe.
#include <fmt/format.h>

#include <set>

#include "longgen/base/check.h"
#include "longgen/base/nearest_name.h"
#include "longgen/train/recipe/nearest_key.h"
#include "longgen/train/recipe/recipe_values.h"

namespace longgen::recipe_fields {
namespace {

std::vector<std::string> source_keys() {
  std::vector<std::string> keys;
  DataSource source;
  for_each_in_source(source,
                     [&](const char* name, auto&, const auto&, bool) { keys.emplace_back(name); });
  return keys;
}

void refuse_unknown_keys(const toml::table& table, const std::string& where,
                         const std::string& name) {
  const std::vector<std::string> known = source_keys();
  for (const auto& [key, value] : table) {
    const std::string found(key.str());
    if (std::ranges::find(known, found) != known.end()) continue;
    const std::string nearest = nearest_key(found, known);
    LG_FAIL(where, ": unknown key ", shown(name + "." + found), ".",
            nearest.empty() ? " Known are " + listed_names(known) + "."
                            : " Did you mean " + nearest + "?");
  }
}

}  // namespace

void read_sources(
    const Entry& entry, const std::string& source, PackingMode packing,
    std::vector<DataSource>& sources,
    const std::function<void(const std::string& key, const std::string& where)>& found) {
  const toml::array* const list = entry.node->as_array();
  const bool tables = list != nullptr && !list->empty() && list->size() <= kMaxSources &&
                      std::ranges::all_of(*list, [](const auto& item) { return item.is_table(); });
  if (!tables) {
    wrong(entry, detail::concat("1 to ", kMaxSources,
                                " tables [[data.sources]], each with path and weight"));
  }
  for (const toml::node& item : *list) {
    const std::string name = fmt::format("data.sources[{}]", sources.size());
    const auto where = [&](const toml::node& node) {
      return source.empty() ? entry.where : place(source, node);
    };
    const toml::table& table = *item.as_table();
    refuse_unknown_keys(table, where(item), name);
    DataSource& read_source = sources.emplace_back();
    read_source.packing = packing;
    for_each_in_source(
        read_source, [&](const char* key, auto& member, const auto& rule, bool required) {
          const std::string full = name + "." + key;
          const toml::node* const node = table.get(key);
          LG_CHECK(node != nullptr || !required, where(item), ": ", full, " is missing.");
          if (node == nullptr) return;
          const std::string at = where(*node) + ": " + full;
          read({node, at, std::nullopt}, member, rule);
          found(full, at);
        });
  }
}

void name_sources(std::vector<DataSource>& sources,
                  const std::function<std::string(const std::string& key)>& where) {
  std::set<std::string> taken;
  for (size_t i = 0; i < sources.size(); ++i) {
    const std::string& name = sources[i].name;
    LG_CHECK(name.empty() || taken.insert(name).second,
             where(fmt::format("data.sources[{}].name", i)),
             ": expected a name that no other source has, found ", shown(name), " twice.");
  }
  for (DataSource& source : sources) {
    if (!source.name.empty()) continue;
    const fs::path path = fs::path(source.path).lexically_normal();
    const fs::path last = path.has_filename() ? path.filename() : path.parent_path().filename();
    const bool is_blank = last.string().find_first_not_of(' ') == std::string::npos;
    const std::string wanted = is_blank ? source.path : last.string();
    source.name = wanted;
    for (int64_t number = 2; !taken.insert(source.name).second; ++number) {
      source.name = fmt::format("{}-{}", wanted, number);
    }
  }
}

}  // namespace longgen::recipe_fields
