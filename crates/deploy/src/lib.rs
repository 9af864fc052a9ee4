//! Runs ansible-playbook and turns what it says into events.
