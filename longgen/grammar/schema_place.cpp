#include "longgen/grammar/schema_place.h"

#include <fmt/format.h>

#include <cmath>

#include "longgen/grammar/schema_error.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {

void refuse_schema(const std::string& path, const std::string& message) {
  throw SchemaError(path, message);
}

std::string inside(const std::string& path, const std::string& field) {
  constexpr size_t kMostBytes = 60;  // of a name that a stranger chose
  std::string name = field;
  if (name.size() > kMostBytes) {
    name.resize(kMostBytes);
    name.resize(name.size() - unfinished_utf8_bytes(name));
    name += "...";
  }
  return path.empty() ? name : path + "." + name;
}

std::string inside(const std::string& path, const std::string& field, size_t index) {
  return fmt::format("{}[{}]", inside(path, field), index);
}

std::optional<int64_t> counted(const OrderedJson& schema, const char* name, const std::string& path,
                               int64_t most) {
  const auto found = schema.find(name);
  if (found == schema.end()) return std::nullopt;
  const double value = found->is_number() ? found->get<double>() : -1;
  if (!(value >= 0 && value <= static_cast<double>(most)) || value != std::trunc(value)) {
    refuse_schema(inside(path, name), fmt::format("expected an integer from 0 to {}.", most));
  }
  return static_cast<int64_t>(value);
}

}  // namespace longgen
