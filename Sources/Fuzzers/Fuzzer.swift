package import Primitives

/// Bytes of a test, of a link, of a file.
package typealias Bytes = [UInt8]

/// What one input came to.
package enum Verdict: Equatable, Sendable {
    case fine
    /// A rule was broken; a sentence with the values.
    case finding(String)

    package var finding: String? {
        if case .finding(let text) = self { return text }
        return nil
    }
}

/// One fuzzer: takes any bytes whatever and says whether our code kept its promises on them. A trap is a
/// finding as well, which only the program around it can see.
///
/// All of them are rows of `FuzzTable`. To add one: a file here, a row there, a folder of seeds under
/// `Tests/Corpus`.
package struct Fuzzer: Sendable {
    /// The number in the plan of tests: F1, F2, …
    package let id: String
    package let name: String
    /// What goes in and what must hold.
    package let sentence: String
    /// Longest input that is made, in bytes.
    package let limitBytes: Int
    /// Most processor time one input may take, in milliseconds.
    package let boundMilliseconds: Int
    /// Pieces that mean something to the code under test; the mutations insert them.
    package let dictionary: [ByteString]
    package let run: @Sendable (Bytes) -> Verdict

    init(
        _ id: String, _ name: String, _ sentence: String, limitBytes: Int = 4096,
        boundMilliseconds: Int = 250, dictionary: [ByteString] = [],
        run: @escaping @Sendable (Bytes) -> Verdict
    ) {
        self.id = id
        self.name = name
        self.sentence = sentence
        self.limitBytes = limitBytes
        self.boundMilliseconds = boundMilliseconds
        self.dictionary = dictionary
        self.run = run
    }
}
