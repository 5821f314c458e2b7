// chat/jinja/functions.h: the functions that every template has.
#pragma once

#include <map>
#include <string>

#include "longgen/chat/jinja/value.h"

namespace longgen::jinja {

/// range, dict, namespace, raise_exception and strftime_now; joiner, cycler and lipsum fail by name
/// when they are called.
const std::map<std::string, Value, std::less<>>& global_functions();

}  // namespace longgen::jinja
