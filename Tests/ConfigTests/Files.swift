import Config
import Primitives

/// Files that exist only in memory.
struct Files {
    var texts: [ByteString: ByteString]

    init(_ texts: [ByteString: ByteString]) { self.texts = texts }

    func read(_ path: ByteString) -> Result<ByteString, FileProblem> {
        texts[path].map { .success($0) } ?? .failure(FileProblem("No such file or directory"))
    }
}

func load(_ text: ByteString, _ more: [ByteString: ByteString] = [:]) -> Result<Snapshot.Loaded, ConfigErrors>
{
    let files = Files(more.merging(["p.ini": text]) { $1 })
    return Snapshot.load(path: "p.ini", read: files.read)
}

/// The lines the log would get; empty when the load succeeds.
func complaints(_ text: ByteString, _ more: [ByteString: ByteString] = [:]) -> [String] {
    guard case .failure(let failure) = load(text, more) else { return [] }
    return failure.errors.map(\.text)
}

extension ByteString {
    static func + (a: ByteString, b: ByteString) -> ByteString { ByteString(a.bytes + b.bytes) }
}
