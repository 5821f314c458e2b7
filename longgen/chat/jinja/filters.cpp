#include "longgen/chat/jinja/filters.h"

#include <algorithm>
#include <charconv>

#include "longgen/chat/jinja/operators.h"
#include "longgen/chat/jinja/python.h"
#include "longgen/chat/jinja/text_tools.h"

namespace longgen::jinja {
namespace {

/// Filters that Jinja has and this program refuses: for web pages, or without a fixed result.
constexpr std::string_view kRefused[] = {"filesizeformat", "pprint", "random",   "striptags",
                                         "urlencode",      "urlize", "wordwrap", "xmlattr"};

/// Filters of markup that give markup; of others the result is a plain string, or none.
constexpr std::string_view kKeepMarkup[] = {"capitalize", "center", "indent", "last",
                                            "lower",      "trim",   "upper"};
/// Filters that would have to escape what they put into markup.
constexpr std::string_view kAddToMarkup[] = {"format", "truncate"};

template <size_t size>
bool is_one_of(const std::string_view (&names)[size], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

Filter find_filter(std::string_view name) {
  for (const FilterTable* table :
       {&text_filters(), &number_filters(), &sequence_filters(), &selecting_filters()}) {
    if (const auto it = table->find(name); it != table->end()) return it->second;
  }
  return name == "tojson" ? to_json : nullptr;
}

}  // namespace

Value apply_filter(Runtime& runtime, const std::string& name, const Value& input,
                   CallArguments arguments) {
  runtime.budget.step();
  const Filter filter = find_filter(name);
  if (filter == nullptr) fail("the filter \"", name, "\" is not supported");
  const bool is_markup = input.is_text() && input.text().is_markup();
  if (is_markup && is_one_of(kAddToMarkup, name)) {
    fail("the filter ", name, " after the filters escape and safe is not supported");
  }
  Value result = filter(runtime, input, std::move(arguments));
  const bool keeps = is_markup && result.is_text() && is_one_of(kKeepMarkup, name);
  return keeps ? runtime.text_like(input.text(), result.text()) : result;
}

bool is_filter(std::string_view name) {
  return find_filter(name) != nullptr || is_one_of(kRefused, name);
}

Value get_path(Runtime& runtime, Value item, const Value& path) {
  if (path.is_none()) return item;
  if (!path.is_text()) return get_item(runtime, item, path);
  const std::string& names = path.bytes();
  size_t begin = 0;
  while (true) {
    runtime.budget.step();
    const size_t end = std::min(names.find('.', begin), names.size());
    const std::string name = names.substr(begin, end - begin);
    int64_t index = 0;
    const auto read = std::from_chars(name.data(), name.data() + name.size(), index);
    const bool number =
        read.ec == std::errc() && read.ptr == name.data() + name.size() && name[0] != '-';
    item = get_item(runtime, item, number ? Value(index) : runtime.text(name, Origin::written));
    if (end == names.size()) return item;
    begin = end + 1;
  }
}

Value without_case(Runtime& runtime, const Value& value) {
  return value.is_text() ? runtime.text(to_lower(runtime, value.text())) : value;
}

}  // namespace longgen::jinja
