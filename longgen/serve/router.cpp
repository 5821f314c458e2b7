#include "longgen/serve/router.h"

#include <algorithm>
#include <utility>

#include "longgen/serve/answer_writer.h"
#include "longgen/serve/openai/shown.h"

namespace longgen {

using openai::ApiError;

void Router::add(const std::string& method, const std::string& path, http::Handler handler,
                 bool is_listed) {
  routes_.push_back({method, path, std::move(handler), is_listed});
}

void Router::operator()(http::HttpRequest request, std::shared_ptr<http::Exchange> exchange) const {
  const std::string shown = openai::shortened(request.path);
  const auto route = std::find_if(routes_.begin(), routes_.end(),
                                  [&](const Route& each) { return each.path == request.path; });
  if (route == routes_.end()) {
    std::string known;
    for (const Route& each : routes_) {
      if (each.is_listed) known += (known.empty() ? "" : ", ") + each.path;
    }
    return answer_error(*exchange,
                        ApiError(404, "there is no " + shown + " here; there is " + known + "."));
  }
  const std::string& method = request.method == "HEAD" ? "GET" : request.method;
  if (method != route->method) {
    return answer_error(*exchange,
                        ApiError(405, shown + ": expected the method " + route->method +
                                          ", found " + openai::shortened(request.method) + "."),
                        {{"Allow", route->method}});
  }
  route->handler(std::move(request), std::move(exchange));
}

}  // namespace longgen
