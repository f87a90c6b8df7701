"""What both HTTP faces, the intake and the console, are served with: connections that nobody can hold for nothing."""
