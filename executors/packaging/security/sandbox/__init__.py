"""A process with limits and without network, in which the untrusted is opened.

running       starts it, gives it one call, reads its answer with distrust
inside        what runs in it: imports trusted code, confines itself, makes the call
programs      the same for a whole program, as that of an image, which is told of a model
launch        what confines itself and becomes that program
pipes         reading what such a process says, within limits, and why it ended
confinement   limits, namespaces, Landlock and seccomp; what could not be applied is told
filters       the seccomp filter
calls         what is done in it: scanning, unpacking
"""
