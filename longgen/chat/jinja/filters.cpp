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
  return filter(runtime, input, std::move(arguments));
}

bool is_filter(std::string_view name) {
  return find_filter(name) != nullptr ||
         std::find(std::begin(kRefused), std::end(kRefused), name) != std::end(kRefused);
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
