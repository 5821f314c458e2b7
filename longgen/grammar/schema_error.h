// grammar/schema_error.h: what is wrong with a JSON Schema.
#pragma once

#include <string>
#include <utility>

#include "longgen/base/error.h"

namespace longgen {

/// what() is the message, without the place.
class SchemaError : public Error {
 public:
  /// `path` is where in the schema ("properties.name.pattern"), empty for all of it.
  SchemaError(std::string path, const std::string& message)
      : Error(message), path_(std::move(path)) {}
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace longgen
