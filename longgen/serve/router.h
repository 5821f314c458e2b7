// serve/router.h: which path is answered by what.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "longgen/serve/http/exchange.h"

namespace longgen {

/// Finds who answers a request. What is nowhere is a 404 that says what there is, another method a
/// 405 with Allow. HEAD is taken as GET.
class Router {
 public:
  /// A path has one method. One that is not listed is none that a 404 names.
  void add(const std::string& method, const std::string& path, http::Handler handler,
           bool is_listed = true);

  void operator()(http::HttpRequest request, std::shared_ptr<http::Exchange> exchange) const;

 private:
  struct Route {
    std::string method, path;
    http::Handler handler;
    bool is_listed;
  };
  std::vector<Route> routes_;
};

}  // namespace longgen
