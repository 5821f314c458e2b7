// chat/jinja/percent_format.h: the two ways of Python to fill values into a string.
#pragma once

#include "longgen/chat/jinja/runtime.h"

namespace longgen::jinja {

/// format % values: %s %r %d %i %u %x %X %o %c %e %f %g with flags, width and precision. `values`
/// is a tuple, a dict for %(name)s, or a single value.
Text percent_format(Runtime& runtime, const Text& format, const Value& values);

/// format.format(...): {}, {0}, {name} and what follows after . and [ ], with !s and !r. Format
/// specifications after a colon are refused.
Text brace_format(Runtime& runtime, const Text& format, const CallArguments& arguments);

}  // namespace longgen::jinja
