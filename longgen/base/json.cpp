#include "longgen/base/json.h"

#include <set>

#include "longgen/base/check.h"
#include "longgen/base/ordered_json.h"

namespace longgen {
namespace {

constexpr int kMaxDepth = 64;

/// What was found, short enough for a message.
std::string shown(const Json& value) {
  std::string text = dump_json(value);
  if (text.size() > 60) text = text.substr(0, 60) + "...";
  return text;
}

template <typename AnyJson>
AnyJson parse_checked(std::string_view text, const std::string& source) {
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  using Event = typename AnyJson::parse_event_t;
  const auto watch = [&](int depth, Event event, AnyJson& parsed) {
    LG_CHECK(depth <= kMaxDepth, source, ": JSON nested deeper than ", kMaxDepth, " levels.");
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key) {
      const auto& key = parsed.template get_ref<const std::string&>();
      LG_CHECK(keys.back().insert(key).second, source, ": the key \"", key,
               "\" stands twice in one JSON object.");
    }
    return true;
  };
  try {
    return AnyJson::parse(text.begin(), text.end(), watch);
  } catch (const typename AnyJson::exception& error) {
    LG_FAIL(source, ": not valid JSON: ", error.what());
  }
}

}  // namespace

Json parse_json(std::string_view text, const std::string& source) {
  return parse_checked<Json>(text, source);
}

OrderedJson parse_ordered_json(std::string_view text, const std::string& source) {
  return parse_checked<OrderedJson>(text, source);
}

JsonObject::JsonObject(const Json& value, std::string source, std::string path)
    : value_(value), source_(std::move(source)), path_(std::move(path)) {
  LG_CHECK(value_.is_object(), source_, path_.empty() ? "" : ": field " + path_,
           ": expected an object, found ", shown(value_), ".");
}

std::string JsonObject::where(const std::string& key) const {
  return source_ + ": field " + (path_.empty() ? "" : path_ + ".") + key;
}

void JsonObject::wrong(const std::string& key, const std::string& expected,
                       const Json& found) const {
  LG_FAIL(where(key), ": expected ", expected, ", found ", shown(found), ".");
}

bool JsonObject::has(const std::string& key) const {
  const auto it = value_.find(key);
  return it != value_.end() && !it->is_null();
}

const Json& JsonObject::raw(const std::string& key) const {
  const auto it = value_.find(key);
  LG_CHECK(it != value_.end(), where(key), " is missing.");
  return *it;
}

JsonObject JsonObject::object(const std::string& key) const {
  return {raw(key), source_, path_.empty() ? key : path_ + "." + key};
}

std::string JsonObject::string(const std::string& key) const {
  const Json& found = raw(key);
  if (!found.is_string()) wrong(key, "a string", found);
  return found.get<std::string>();
}

std::string JsonObject::string(const std::string& key, const std::string& fallback) const {
  return has(key) ? string(key) : fallback;
}

bool JsonObject::boolean(const std::string& key, bool fallback) const {
  if (!has(key)) return fallback;
  const Json& found = raw(key);
  if (!found.is_boolean()) wrong(key, "true or false", found);
  return found.get<bool>();
}

int64_t JsonObject::integer(const std::string& key, int64_t low, int64_t high) const {
  const Json& found = raw(key);
  const std::string expected =
      "an integer from " + std::to_string(low) + " to " + std::to_string(high);
  if (!found.is_number_integer()) wrong(key, expected, found);
  const bool too_large =
      found.is_number_unsigned() && found.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX);
  if (too_large || found.get<int64_t>() < low || found.get<int64_t>() > high)
    wrong(key, expected, found);
  return found.get<int64_t>();
}

int64_t JsonObject::integer(const std::string& key, int64_t low, int64_t high,
                            int64_t fallback) const {
  return has(key) ? integer(key, low, high) : fallback;
}

double JsonObject::number(const std::string& key, double low, double high) const {
  const Json& found = raw(key);
  const bool good = found.is_number() && found.get<double>() >= low && found.get<double>() <= high;
  if (!good) wrong(key, detail::concat("a number from ", low, " to ", high), found);
  return found.get<double>();
}

double JsonObject::number(const std::string& key, double low, double high, double fallback) const {
  return has(key) ? number(key, low, high) : fallback;
}

std::vector<int64_t> JsonObject::integers(const std::string& key, int64_t low, int64_t high) const {
  const Json& found = raw(key);
  const std::string expected =
      "a list of integers from " + std::to_string(low) + " to " + std::to_string(high);
  if (!found.is_array()) wrong(key, expected, found);
  std::vector<int64_t> values;
  for (const Json& item : found) {
    if (!item.is_number_integer() || item.get<int64_t>() < low || item.get<int64_t>() > high) {
      wrong(key, expected, found);
    }
    values.push_back(item.get<int64_t>());
  }
  return values;
}

std::string dump_json(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string dump_json(const OrderedJson& value, int indent) {
  return value.dump(indent, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace longgen
