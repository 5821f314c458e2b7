#include "longgen/eval/suite/packed_pass.h"

#include <algorithm>
#include <vector>

#include "longgen/base/check.h"
#include "longgen/base/units.h"

namespace longgen {

bool pass_packed(Engine& engine, std::span<const PackedPart> parts, int64_t step_tokens,
                 const OnPackedRows& on_rows, const std::function<bool()>& goes_on) {
  const auto on_layer = [&](int64_t) { return goes_on(); };
  size_t part = 0;
  int64_t done = 0;  // of the part
  while (part < parts.size()) {
    std::vector<BatchPart> batch;
    std::vector<PackedChunk> chunks;
    for (int64_t room = step_tokens; room > 0 && part < parts.size();) {
      const auto size = static_cast<int64_t>(parts[part].tokens.size());
      const int64_t count = std::min(room, size - done);
      batch.push_back(
          {parts[part].sequence,
           parts[part].tokens.subspan(static_cast<size_t>(done), static_cast<size_t>(count)),
           /*wants_logits=*/false});
      chunks.push_back({part, done, count});
      room -= count;
      done += count;
      if (done < size) break;
      ++part;
      done = 0;
    }
    const BatchResult result = engine.step(batch, {.on_layer = on_layer, .keep_hidden = true});
    if (result.end == BatchEnd::cancelled) return false;
    LG_CHECK(result.end == BatchEnd::done, "[suite] the KV cache, of which ",
             format_bytes(engine.pool().bytes_in_use()),
             " are in use, has no room for the items of a step. Allow more (--max-kv), or make "
             "steps smaller (--chunk).");
    on_rows(result.hidden_TE, chunks);
  }
  return true;
}

}  // namespace longgen
