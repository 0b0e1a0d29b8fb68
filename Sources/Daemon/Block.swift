import Primitives

/// Memory with a filled middle: what a link has sent and the engine not yet used, or what the kernel has not
/// yet taken for it. One word, so that a connection without any costs nothing; owned by hand, by one
/// connection.
struct Block {
    private struct Header {
        var capacity: Int
        var start: Int
        var count: Int
    }

    private let memory: UnsafeMutableRawPointer
    private static var headerBytes: Int { MemoryLayout<Header>.stride }

    init(capacity: Int) {
        memory = .allocate(byteCount: Self.headerBytes + capacity, alignment: 8)
        memory.initializeMemory(as: Header.self, to: Header(capacity: capacity, start: 0, count: 0))
    }

    func deallocate() { memory.deallocate() }

    private var header: UnsafeMutablePointer<Header> { memory.assumingMemoryBound(to: Header.self) }
    private var body: UnsafeMutableRawPointer { memory + Self.headerBytes }

    var capacity: Int { header.pointee.capacity }
    var count: Int { header.pointee.count }
    var view: ByteView { ByteView(base: body + header.pointee.start, count: count) }
    /// Free bytes behind the filled ones.
    var room: Int { capacity - header.pointee.start - count }
    var tail: UnsafeMutableRawPointer { body + header.pointee.start + count }

    func clear() {
        header.pointee.start = 0
        header.pointee.count = 0
    }

    /// Counts bytes written at `tail`.
    func wrote(_ more: Int) {
        precondition(more >= 0 && more <= room, "a block was overfilled")
        header.pointee.count += more
    }

    /// Copies bytes behind the filled ones; there must be room.
    func append(_ view: ByteView) {
        precondition(view.count <= room, "a block was overfilled")
        tail.copyMemory(from: view.base, byteCount: view.count)
        header.pointee.count += view.count
    }

    /// Forgets bytes at the front.
    func consume(_ used: Int) {
        precondition(used >= 0 && used <= count, "more was consumed than there is")
        header.pointee.count -= used
        header.pointee.start = header.pointee.count == 0 ? 0 : header.pointee.start + used
    }

    /// Moves the filled bytes to the front, so that all room is behind them.
    func compact() {
        guard header.pointee.start > 0 else { return }
        body.copyMemory(from: body + header.pointee.start, byteCount: count)
        header.pointee.start = 0
    }
}

/// Where blocks come from and go to. Small ones are kept for the next user, in bounded numbers; large ones
/// are given back to the system at once (I18).
struct BlockStore: ~Copyable {
    /// No link holds more; the engine is to stop it long before.
    static var limitBytes: Int { 64 * 1024 * 1024 }
    /// The largest block that is kept for reuse.
    static var largestKeptBytes: Int { 16 * 1024 }

    private var small = FreeBlocks(blockBytes: 1024, limit: 1024)
    private var middle = FreeBlocks(blockBytes: 4 * 1024, limit: 256)
    private var large = FreeBlocks(blockBytes: largestKeptBytes, limit: 64)

    /// An empty block with room for at least `bytes`.
    mutating func take(_ bytes: Int) -> Block {
        if bytes <= small.blockBytes { return small.take() }
        if bytes <= middle.blockBytes { return middle.take() }
        if bytes <= large.blockBytes { return large.take() }
        return Block(capacity: bytes)
    }

    mutating func give(_ block: Block) {
        switch block.capacity {
        case small.blockBytes: small.give(block)
        case middle.blockBytes: middle.give(block)
        case large.blockBytes: large.give(block)
        default: block.deallocate()
        }
    }

    /// Makes room for `more` bytes behind the filled ones, in this block or in a larger one that replaces it.
    mutating func makeRoom(for more: Int, in block: Block) -> Block {
        if block.room >= more { return block }
        if block.capacity - block.count >= more, block.count <= block.capacity / 2 {
            block.compact()
            return block
        }
        let larger = take(max(block.count + more, block.capacity * 2))
        larger.append(block.view)
        give(block)
        return larger
    }

    /// A block no larger than what is in it needs.
    mutating func fitted(_ block: Block) -> Block {
        guard block.capacity > Self.largestKeptBytes, block.count <= Self.largestKeptBytes else {
            block.compact()
            return block
        }
        let smaller = take(block.count)
        smaller.append(block.view)
        give(block)
        return smaller
    }
}

/// Blocks of one size that nobody uses.
private struct FreeBlocks: ~Copyable {
    let blockBytes: Int
    private let limit: Int
    private let blocks: UnsafeMutablePointer<Block>
    private var count = 0

    init(blockBytes: Int, limit: Int) {
        self.blockBytes = blockBytes
        self.limit = limit
        blocks = .allocate(capacity: limit)
    }

    deinit {
        for place in 0..<count { blocks[place].deallocate() }
        blocks.deallocate()
    }

    mutating func take() -> Block {
        guard count > 0 else { return Block(capacity: blockBytes) }
        count -= 1
        return blocks[count]
    }

    mutating func give(_ block: Block) {
        guard count < limit else { return block.deallocate() }
        block.clear()
        (blocks + count).initialize(to: block)
        count += 1
    }
}
