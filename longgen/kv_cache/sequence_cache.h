// kv_cache/sequence_cache.h: the pages of one sequence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "longgen/kv_cache/page_layout.h"
#include "longgen/kv_cache/page_pool.h"

namespace longgen {

/// For each group of layers and KV head, which page holds which block. A forward pass over new
/// tokens is bracketed by reserve() and commit(): in between the sequence holds the pages that
/// KvLayout::pages_in_pass() tells, otherwise those of KvLayout::pages_held(). All pages are
/// released when the sequence goes. Layout and pool must outlive it. Not thread-safe, except that
/// block() may be called by many threads.
///
/// Sequences that begin alike may share the pages of what they have in common (fork_from). Nobody
/// writes to a shared page: a full one is never written again, and of one that is not full
/// reserve() makes a copy of the sequence's own.
class SequenceCache {
 public:
  /// Throws Error if the pool's pages do not have the layout's size.
  SequenceCache(const KvLayout& layout, PagePool& pool);
  ~SequenceCache();
  SequenceCache(const SequenceCache&) = delete;
  SequenceCache& operator=(const SequenceCache&) = delete;

  const KvLayout& layout() const { return layout_; }
  /// Tokens whose K and V are in the cache.
  int64_t length() const { return length_; }
  /// Tokens that reserve() made room for and that are not committed.
  int64_t reserved() const { return reserved_; }
  /// Pages of the sequence, those that it shares with others among them.
  int64_t num_pages() const { return num_pages_; }
  int64_t kv_bytes() const { return num_pages_ * layout_.page_bytes(); }

  /// Makes the first num_tokens tokens of `other` those of this sequence, which must be empty, and
  /// shares their pages; the pool gives none. False, and nothing has changed, where `other` has
  /// freed a page that they need: with window layers a sequence can be forked at its length, and
  /// at an earlier one only as long as no block has left a window since. Throws Error if one of the
  /// two is in a pass, if they differ in layout or pool, or if `other` has fewer tokens.
  [[nodiscard]] bool fork_from(const SequenceCache& other, int64_t num_tokens);
  /// Makes num_tokens tokens, whose K and V are in `pages`, those of this sequence, which must be
  /// empty. It becomes one more owner of each page. Throws Error, and nothing has changed, unless
  /// the pages are those that are live at num_tokens, each once.
  void adopt(int64_t num_tokens, std::span<const HeldPage> pages);

  /// How many pages reserve(num_tokens) takes from the pool. Throws Error, as reserve() does,
  /// between commit_keeping_dead() and release_dead().
  int64_t pages_needed(int64_t num_tokens) const;
  /// Takes pages for num_tokens new tokens, in all groups at once, and copies those that they write
  /// to and that are shared. False if the pool has too few: the sequence is then as it was, and so
  /// it is after cancel(). Throws Error if tokens are reserved already, or if the sequence would
  /// exceed KvLayout::kMaxTokens.
  [[nodiscard]] bool reserve(int64_t num_tokens);
  /// Says that all layers have written the reserved tokens: they now belong to the sequence, and
  /// every page that no later query sees is freed.
  void commit();
  /// Does the same but for freeing pages, so that others may come to own them, by a fork at an
  /// earlier length, before release_dead(), which must precede the next pass.
  void commit_keeping_dead();
  /// Frees every page that no later query sees. Throws Error in a pass.
  void release_dead();
  /// Gives the pages of reserve() back.
  void cancel();
  /// Forgets all tokens.
  void clear();

  /// Grows whenever a page comes or goes, or a block begins, to a number that no other sequence of
  /// the pool has. 0: no pages yet.
  int64_t page_changes() const { return page_changes_; }
  /// A number that no other sequence of the pool has had, and another one after clear(). As long as
  /// it stays, blocks that the committed tokens have filled keep their pages until these are dead.
  int64_t identity() const { return identity_; }
  const PagePool& pool() const { return pool_; }
  /// The page that holds each block, or kNoPage.
  const std::vector<PageId>& pages(int64_t group, int64_t kv_head) const {
    return tables_[group * layout_.shape().num_kv_heads + kv_head].pages;
  }
  /// Where K and V of a block lie in its page (see PageBlock). Error if no page holds the block:
  /// only for blocks that are live or being written.
  std::byte* block(int64_t layer, int64_t kv_head, int64_t key_block) const;

 private:
  /// The blocks of one group and KV head.
  struct Table {
    std::vector<PageId> pages;     // of each block, kNoPage where none is needed
    int64_t oldest_in_window = 0;  // blocks before it are freed or live for ever
    PageId before_copy = kNoPage;  // during a pass: the shared page that the last one is a copy of
  };

  template <typename Visit>
  void for_each_table(const Visit& visit);
  /// Is the page of the last token shared and about to be written to?
  bool writes_to_shared(const Table& table, int64_t num_tokens) const;
  void note_change() { page_changes_ = pool_.new_version(); }
  void release_from(int64_t first_block);
  void release_dead(int64_t group, int64_t kv_head, Table& table);

  const KvLayout& layout_;
  PagePool& pool_;
  std::vector<Table> tables_;  // (group, KV head)
  int64_t length_ = 0, reserved_ = 0, num_pages_ = 0, page_changes_ = 0, identity_ = 0;
  bool keeps_dead_ = false;
};

}  // namespace longgen
