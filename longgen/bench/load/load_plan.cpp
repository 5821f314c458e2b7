#include "longgen/bench/load/load_plan.h"

#include <algorithm>
#include <cmath>

#include "longgen/base/check.h"
#include "longgen/base/json.h"

namespace longgen {
namespace {

// Streams of random numbers and keys of prompts that never meet.
enum Stream : uint64_t { arrivals, lengths, own_prompts, shared_prompts, trace_blocks };

constexpr int64_t kMaxTokens = int64_t{1} << 30;
// A hundred years; sums of doubles are still right to a microsecond.
constexpr double kMaxMilliseconds = 3.2e12;
// Numbers that a double holds, as JSON's readers in other languages have them.
constexpr int64_t kMaxHash = int64_t{1} << 53;

uint64_t key_of(uint64_t seed, Stream stream, uint64_t number) {
  return mix_pair(mix_pair(seed, stream), number);
}

/// 53 random bits as a number above 0 and at most 1.
double uniform(RandomStream& random) {
  return static_cast<double>((random.next() >> 11) + 1) * 0x1p-53;
}

class TraceLine {
 public:
  TraceLine(std::string_view line, const std::string& place)
      : json_(parse_json(line, place)), object_(json_, place) {
    for (const auto& [key, value] : json_.items()) {
      LG_CHECK(key == "timestamp" || key == "input_length" || key == "output_length" ||
                   key == "hash_ids",
               place, ": unknown key \"", key,
               "\"; a line has timestamp, input_length, output_length and hash_ids.");
    }
  }

  double milliseconds() const { return object_.number("timestamp", 0, kMaxMilliseconds); }

  PlannedRequest request(uint64_t seed, uint64_t number) const {
    PlannedRequest request;
    request.reply_tokens = object_.integer("output_length", 1, kMaxTokens);
    const int64_t prompt_tokens = object_.integer("input_length", 1, kMaxTokens);
    if (!object_.has("hash_ids")) {
      request.prompt.push_back({key_of(seed, own_prompts, number), prompt_tokens});
      return request;
    }
    const std::vector<int64_t> blocks = object_.integers("hash_ids", 0, kMaxHash);
    const int64_t num_blocks = (prompt_tokens + kTraceBlock - 1) / kTraceBlock;
    LG_CHECK(std::ssize(blocks) == num_blocks, object_.where("hash_ids"), ": expected ", num_blocks,
             " numbers, one for each ", kTraceBlock, " of ", prompt_tokens, " tokens, found ",
             blocks.size(), ".");
    int64_t left = prompt_tokens;
    for (const int64_t block : blocks) {
      request.prompt.push_back(
          {key_of(seed, trace_blocks, static_cast<uint64_t>(block)), std::min(left, kTraceBlock)});
      left -= kTraceBlock;
    }
    return request;
  }

 private:
  Json json_;
  JsonObject object_;
};

}  // namespace

std::vector<PlannedRequest> plan_load(const LengthMix& mix, const LoadPlanOptions& options) {
  RandomStream times(key_of(options.seed, arrivals, 0)), sizes(key_of(options.seed, lengths, 0));
  std::vector<PlannedRequest> requests;
  double due = 0;
  for (int64_t i = 0; i < options.num_requests; ++i) {
    const RequestLengths drawn = mix.draw(sizes);
    if (options.rate && i > 0) due += -std::log(uniform(times)) / *options.rate;
    PlannedRequest request{.due_seconds = due, .reply_tokens = drawn.reply_tokens};
    if (options.shared_prefix_tokens > 0) {
      const auto group = static_cast<uint64_t>(i % options.num_groups);
      request.prompt.push_back(
          {key_of(options.seed, shared_prompts, group), options.shared_prefix_tokens});
    }
    request.prompt.push_back(
        {key_of(options.seed, own_prompts, static_cast<uint64_t>(i)), drawn.prompt_tokens});
    requests.push_back(std::move(request));
  }
  return requests;
}

std::vector<PlannedRequest> parse_trace(std::string_view text, const std::string& source,
                                        const TraceOptions& options) {
  std::vector<PlannedRequest> requests;
  double first = 0, last = 0;
  int64_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    if (options.max_requests > 0 && std::ssize(requests) == options.max_requests) break;
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string place = source + ":" + std::to_string(number);
    const TraceLine read(line, place);
    const double milliseconds = read.milliseconds();
    LG_CHECK(requests.empty() || milliseconds >= last, place,
             ": field timestamp: expected at least the ", last, " of the request before it, found ",
             milliseconds, ".");
    if (requests.empty()) first = milliseconds;
    last = milliseconds;
    requests.push_back(read.request(options.seed, requests.size()));
    requests.back().due_seconds = (milliseconds - first) / 1000 / options.speed;
  }
  LG_CHECK(!requests.empty(), source, ": expected a line of JSON for each request, found none.");
  return requests;
}

std::vector<PlannedRequest> read_trace(const fs::path& file, const TraceOptions& options) {
  return parse_trace(read_file(file), file.string(), options);
}

}  // namespace longgen
