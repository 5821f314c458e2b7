#include "longgen/report/model_names.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {
namespace {

/// Spells a folder in one way, whatever links, dots and slashes lead to it.
fs::path place_of(const std::string& directory) {
  fs::path path = fs::weakly_canonical(directory);
  return path.has_filename() ? path : path.parent_path();
}

/// Returns the last `count` parts of a path.
std::string last_parts(const fs::path& path, ptrdiff_t count) {
  const fs::path whole = path.relative_path();
  const ptrdiff_t depth = std::distance(whole.begin(), whole.end());
  fs::path name;
  for (auto part = std::next(whole.begin(), std::max<ptrdiff_t>(0, depth - count));
       part != whole.end(); ++part) {
    name /= *part;
  }
  return name.string();
}

/// Whether the file is the JSON of a report of this directory and policy.
bool is_report_of(const fs::path& json_file, const std::string& directory,
                  const std::string& policy) {
  try {
    const Json json = parse_json(read_file(json_file), json_file.string());
    const Json found = json.value("/settings/directory"_json_pointer, Json());
    const Json of_policy = json.value("/settings/policy"_json_pointer, Json(""));
    return found.is_string() && found.get<std::string>() == directory && of_policy.is_string() &&
           of_policy.get<std::string>() == policy;
  } catch (const Error&) {
    return false;  // not one of ours: it stays
  } catch (const Json::exception&) {
    return false;
  }
}

}  // namespace

std::vector<std::string> model_names(const std::vector<std::string>& directories) {
  std::vector<fs::path> places;
  for (const std::string& directory : directories) places.push_back(place_of(directory));
  std::vector<fs::path> named;
  for (const fs::path& place : places) {
    const fs::path above = place.parent_path();
    const bool says_less = place.filename() == "model" && above.has_filename() &&
                           std::find(places.begin(), places.end(), above) == places.end();
    named.push_back(says_less ? above : place);
  }
  std::vector<std::string> names;
  for (const fs::path& path : named) {
    ptrdiff_t count = 1;
    const auto is_taken = [&](const fs::path& other) {
      return other != path && last_parts(other, count) == last_parts(path, count);
    };
    while (std::any_of(named.begin(), named.end(), is_taken)) ++count;
    names.push_back(last_parts(path, count));
  }
  return names;
}

std::string report_directory(const std::string& directory) {
  return replace_invalid_utf8(place_of(directory).string());  // as JSON will have it
}

std::string model_report_name(const fs::path& folder, const std::string& kind,
                              const std::string& model, const std::string& directory,
                              const std::string& policy) {
  constexpr size_t kMaxBytes = 80;  // check_report_name() allows 100, a number included
  std::string name = kind + "-" + model;
  name.resize(std::min(name.size(), kMaxBytes));
  for (char& c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.';
    if (!plain) c = '_';
  }
  const std::string wanted = name;
  for (int64_t number = 2;; ++number) {
    const fs::path file = folder / (name + ".json");
    if (!fs::exists(file) || is_report_of(file, report_directory(directory), policy)) return name;
    name = wanted + "-" + std::to_string(number);
  }
}

}  // namespace longgen
