// serve/schedule/prefix_cache.h: pages of prompts and replies of the past, for those that begin
// alike.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "longgen/kv_cache/page_demand.h"

namespace longgen {

/// Which page of a sequence holds a block of a page table, numbered as in HeldPage.
class BlockPages {
 public:
  virtual ~BlockPages() = default;
  /// kNoPage where no page holds it.
  virtual PageId page(int64_t table, int64_t block) const = 0;
};

/// Counts the owners of pages: a page pool.
class PageOwners {
 public:
  virtual ~PageOwners() = default;
  virtual void share(PageId page) = 0;
  virtual void release(PageId page) = 0;
};

/// A tree of blocks of tokens below a root for each salt, so that nobody learns of another one's
/// prompts by asking how long the same ones take. A block is found by a hash that is chained from
/// the root's; parent and tokens are compared, so that two blocks with one hash are a miss and
/// nothing else.
///
/// A block owns its lasting pages: of full layers, sinks and the stride. A checkpoint at a block
/// owns the window pages that the pattern calls live at its end. A sequence can begin at a
/// checkpoint, with exactly the pages that are live there; where no layer has a window, it can
/// begin behind every block.
///
/// Eviction takes the checkpoint that was used least recently and is not pinned: where other blocks
/// follow, its window pages; at a leaf all pages of the branch, up to a block that has a
/// checkpoint, a pin or another branch. So what is left can always be used. Not thread-safe.
class PrefixCache {
 public:
  /// `key`: random bits of the process, which keep hashes from being foreseen. The pages' owners
  /// must outlive it; it releases all pages when it goes. Tests make blocks meet by hashes of fewer
  /// bits.
  PrefixCache(const KvLayout& layout, PageOwners& owners, uint64_t key, int hash_bits = 128);
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  struct Node;

  /// How far a sequence of tokens is known.
  struct Match {
    Node* node = nullptr;        ///< where it can begin; null: nowhere
    int64_t hit_tokens = 0;      ///< a multiple of Pattern::kBlock, less than all tokens
    int64_t matched_tokens = 0;  ///< that stand in the tree, at least hit_tokens
  };
  /// At least one token is left to be computed. Does not count as a use.
  Match find(const std::string& salt, std::span<const int32_t> tokens) const;
  /// Says that a sequence begins at the match: refreshes its checkpoint. Returns its pages, live
  /// ones and no others.
  std::vector<HeldPage> use(const Match& match);

  /// A pinned block, and all before it, is not evicted. Pins count.
  void pin(Node* node);
  /// Removes a pin, and blocks that no sequence can begin at any more.
  void unpin(Node* node);

  /// What the cache would come to own.
  struct Growth {
    int64_t lasting = 0;
    int64_t window = 0;
  };
  /// Keeps the pages of a sequence at its first tokens.size() tokens, a multiple of
  /// Pattern::kBlock, all of which are in `pages`. Blocks that are known stay with the pages that
  /// they have. `may_grow` is asked before; it may evict. Returns the block at the end, which has a
  /// checkpoint now; null, and nothing has changed, where may_grow() says no, a page is missing,
  /// or another block has the same hash.
  Node* store(const std::string& salt, std::span<const int32_t> tokens, const BlockPages& pages,
              const std::function<bool(const Growth&)>& may_grow);

  /// Gives up pages of the branch that was used least recently. False where none can be evicted.
  bool evict_one();

  /// Pages that the cache owns, each once.
  int64_t num_pages() const { return pages_.total(); }
  const PageKinds& pages() const { return pages_; }
  int64_t num_blocks() const { return static_cast<int64_t>(nodes_.size()); }
  int64_t num_checkpoints() const { return static_cast<int64_t>(by_use_.size()); }

 private:
  using Tokens = std::array<int32_t, Pattern::kBlock>;
  struct Hash {
    uint64_t low, high;
    bool operator==(const Hash&) const = default;
  };
  struct HashOfHash {
    size_t operator()(const Hash& hash) const { return hash.low; }
  };
  using Roots = std::map<std::string, int64_t>;  ///< how many blocks follow the root of each salt

  /// The blocks of a sequence that are known.
  struct Path {
    Hash hash;                 ///< of the last known block, or the root
    std::vector<Node*> nodes;  ///< from the root
  };

  Hash hash_of(const void* bytes, size_t count) const;
  Hash next_hash(const Hash& before, std::span<const int32_t> block) const;
  Path walk(const std::string& salt, std::span<const int32_t> tokens) const;
  bool can_begin_at(const Node& node) const;
  // These two are false where a page is missing.
  bool lasting_pages(const BlockPages& pages, int64_t block, std::vector<HeldPage>& to) const;
  bool window_pages(const BlockPages& pages, int64_t num_tokens, std::vector<HeldPage>& to) const;
  struct NewBlocks;
  std::optional<NewBlocks> gather(const Path& path, std::span<const int32_t> tokens,
                                  const BlockPages& pages) const;
  Node* grow(const std::string& salt, std::span<const int32_t> tokens, NewBlocks blocks);

  void own(const HeldPage& held);
  void disown(const HeldPage& held);
  bool owns(PageId page) const;
  void refresh(Node* node);
  void drop_checkpoint(Node* node);
  void prune(Node* node);

  KvLayout layout_;
  PageOwners& owners_;
  uint64_t key_;
  int hash_bits_;
  bool has_windows_;
  Roots roots_;
  std::unordered_map<Hash, std::unique_ptr<Node>, HashOfHash> nodes_;
  std::map<int64_t, Node*> by_use_;  ///< checkpoints, the one used least recently first
  int64_t next_use_ = 1;
  std::vector<int32_t> times_owned_;  ///< of each page
  PageKinds pages_;
};

}  // namespace longgen
